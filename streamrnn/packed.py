"""A model's parameters in the order in which the kernels read them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels import network
from streamrnn.kernels.blocks import Cell
from streamrnn.kernels.simd import LANES
from streamrnn.parts import Part
from streamrnn.step import allocate

Array = NDArray[np.float32]


class Packed(NamedTuple):
    """What `network.advance` takes of a model: plan int64, weights float32, both contiguous."""

    plan: NDArray[np.int64]
    weights: Array


def shapes(cell: Cell, config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The parameters of a network: name -> shape."""
    I, H, O = config["input_size"], config["hidden_size"], config["output_size"]
    found: dict[str, tuple[int, ...]] = {}
    for n in range(config["num_layers"]):
        found |= {f"{name}_l{n}": shape for name, shape in cell.shapes(H if n else I, H).items()}
    if O is not None:
        found |= {"weight_ho": (O, H), "bias_o": (O,)}
    return {name: s for name, s in found.items() if config["bias"] or not name.startswith("bias")}


def pack(
    cell: Cell,
    config: Mapping[str, Any],
    parameters: Mapping[str, Array],
    scaling: Mapping[str, Array],
    layout: np.dtype[Any],
) -> Packed:
    """Scaling, then each layer, then the readout, each padded to whole vectors."""
    I, H, O = config["input_size"], config["hidden_size"], config["output_size"] or 0
    layers, d = config["num_layers"], network.padded(H)
    parts = [_padded(scaling["mean"]), _padded(np.float32(1) / scaling["std"])]
    records = np.zeros((layers, network.RECORD), np.int64)
    for n, record in enumerate(records):
        columns = H if n else I
        layer = {
            name: parameters.get(f"{name}_l{n}", np.zeros(shape, np.float32))
            for name, shape in cell.shapes(columns, H).items()
        }
        parts.append(np.concatenate([_blocks(*arrays) for arrays in cell.pack(layer)]))
        record[network.STEPS] = cell.steps.address
        record[[network.K, network.H, network.D]] = columns, H, d
        record[network.AT_H] = _offset(layout, "h") + n * d
        for name, numbers in cell.state.items():
            if name != "h":  # there is at most one
                record[network.OTHER] = numbers * d
                record[network.AT_C] = _offset(layout, name) + n * numbers * d
        record[network.SIZE] = parts[-1].size
    if O:
        bias = parameters.get("bias_o", np.zeros(O, np.float32))
        columns = (bias, scaling["out_std"], scaling["out_mean"], parameters["weight_ho"])
        parts.append(_blocks(*(column[None] for column in columns)))
    plan = np.zeros(network.LAYER, np.int64)
    plan[[network.INPUTS, network.WIDE]] = I, network.padded(I)
    plan[network.TOKENS], plan[network.LAYERS], plan[network.OUTPUTS] = config["tokens"], layers, O
    plan[network.WIDEST] = max(d, 0 if config["tokens"] else network.padded(I))
    plan[network.WORK] = d + max(d * cell.work, records[0, network.OTHER])
    weights = allocate(np.dtype(np.float32), sum(part.size for part in parts))
    np.concatenate(parts, out=weights)
    return Packed(np.concatenate([plan, records.ravel()]), weights)


def pack_line(
    parts: Sequence[Part],
    tokens: bool,
    scaling: Mapping[str, Array],
    layout: np.dtype[Any],
) -> Packed:
    """The same of layers that differ in cell and size; layer n keeps its h as `h_l{n}`."""
    I = parts[0].K
    arrays = [_padded(scaling["mean"]), _padded(np.float32(1) / scaling["std"])]
    records = np.zeros((len(parts), network.RECORD), np.int64)
    for n, (part, record) in enumerate(zip(parts, records, strict=True)):
        passes = part.cell.pack(part.parameters)
        arrays += [one if isinstance(one, np.ndarray) else _blocks(*one) for one in passes]
        record[network.SIZE] = sum(array.size for array in arrays[-len(passes) :])
        record[network.STEPS] = part.cell.steps.address
        record[[network.K, network.H, network.D]] = part.K, part.H, network.padded(part.H)
        record[network.AT_H] = _offset(layout, f"h_l{n}") if "h" in part.state else -1
        for name, floats in part.state.items():
            if name != "h":  # there is at most one
                record[network.OTHER] = floats
                record[network.AT_C] = _offset(layout, f"{name}_l{n}")
    d = records[:, network.D]
    work = d * [part.cell.work for part in parts]
    plan = np.zeros(network.LAYER, np.int64)
    plan[[network.INPUTS, network.WIDE]] = I, network.padded(I)
    plan[[network.TOKENS, network.LAYERS]] = tokens, len(parts)
    plan[network.WIDEST] = max(d.max(), 0 if tokens else network.padded(I))
    plan[network.WORK] = (d + np.maximum(work, records[:, network.OTHER])).max()
    weights = allocate(np.dtype(np.float32), sum(array.size for array in arrays))
    np.concatenate(arrays, out=weights)
    return Packed(np.concatenate([plan, records.ravel()]), weights)


def _offset(layout: np.dtype[Any], name: str) -> int:
    assert layout.fields
    return layout.fields[name][1] // 4


def _padded(array: Array) -> Array:
    return np.concatenate([array, np.zeros(-len(array) % network.PAD, np.float32)])


def _blocks(*arrays: NDArray[Any]) -> Array:
    """Arrays (gates, H) and (gates, H, K), cut into blocks of LANES units.

    A block holds its units' part of each array in turn, [k][gate][lane]; what fills the last block
    up is zero.
    """
    parts = []
    for array in arrays:
        gates, H = array.shape[:2]
        count = -(-H // LANES)
        full = np.zeros((gates, count * LANES, array[0, 0].size), np.float32)
        full[:, :H] = array.reshape(gates, H, -1)
        blocks = full.reshape(gates, count, LANES, -1).transpose(1, 3, 0, 2)
        parts.append(blocks.reshape(count, -1))
    return np.concatenate(parts, axis=1).ravel()
