"""A model's parameters in the order in which the kernels read them."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels import network
from streamrnn.kernels.simd import LANES
from streamrnn.step import allocate

Array = NDArray[np.float32]


class Packed(NamedTuple):
    """What `network.advance` takes of a model: plan int64, weights float32, both contiguous."""

    plan: NDArray[np.int64]
    weights: Array


def pack(
    cell: ModuleType,
    config: Mapping[str, Any],
    parameters: Mapping[str, Array],
    scaling: Mapping[str, Array],
) -> Packed:
    """Scaling, then each layer, then the readout, each padded to whole vectors."""
    I, H, layers = config["input_size"], config["hidden_size"], config["num_layers"]
    zeros = np.zeros(cell.GATES * H, np.float32)
    parts = [_padded(scaling["mean"]), _padded(np.float32(1) / scaling["std"])]
    for layer in range(layers):
        names = (f"{kind}_l{layer}" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        parts.append(_blocks(*cell.pack(*(parameters.get(name, zeros) for name in names))))
    O = config["output_size"] or 0
    if O:
        bias = parameters.get("bias_o", np.zeros(O, np.float32))
        columns = (bias, scaling["out_std"], scaling["out_mean"], parameters["weight_ho"])
        parts.append(_blocks(*(column[None] for column in columns)))
    plan = np.zeros(network.PLAN, np.int64)
    plan[network.STEPS] = cell.steps.address
    plan[network.PARTS] = len(cell.STATE)
    plan[network.INPUTS], plan[network.WIDE] = I, network.padded(I)
    plan[network.H], plan[network.D] = H, network.padded(H)
    plan[network.LAYERS], plan[network.OUTPUTS] = layers, O
    plan[network.TOKENS] = config["tokens"]
    plan[network.FIRST_SIZE] = parts[2].size
    plan[network.SIZE] = parts[3].size if layers > 1 else 0
    weights = allocate(np.dtype(np.float32), sum(part.size for part in parts))
    np.concatenate(parts, out=weights)
    return Packed(plan, weights)


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
