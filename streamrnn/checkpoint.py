"""Models and banks on disk: safetensors with a description in the header, written atomically.

>>> import tempfile
>>> from pathlib import Path
>>> from streamrnn.model import RNN
>>> with tempfile.TemporaryDirectory() as folder:
...     save(RNN(2, 4), Path(folder) / "model.safetensors")
...     load(Path(folder) / "model.safetensors").hidden_size
4
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from streamrnn.bank import Bank, Snapshot
from streamrnn.bidirectional import Bidirectional
from streamrnn.detect import Detector
from streamrnn.forecast import Forecaster
from streamrnn.formats import FormatError
from streamrnn.formats.layer import Layer
from streamrnn.kernels.channels import CHANNEL_SIZE
from streamrnn.kernels.jit import fingerprint
from streamrnn.model import GRU, LRU, LSTM, RNN, Model
from streamrnn.network import Network
from streamrnn.packed import shapes
from streamrnn.sequential import Sequential
from streamrnn.step import Step, allocate, flat
from streamrnn.windowed import Windowed

VERSION = 1
NETWORKS = (RNN, GRU, LSTM, LRU, Sequential, Bidirectional)
CLASSES: dict[str, Any] = {c.__name__: c for c in (*NETWORKS, Windowed, Forecaster, Detector)}
Tensors = dict[str, NDArray[Any]]


def save(
    what: Network | Bidirectional | Windowed | Forecaster | Detector | Bank,
    path: str | os.PathLike[str],
    *,
    dtype: str = "float32",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model with its scaling and the state of its stream, or a bank with all its streams.

    dtype      "float16" halves the weights' place (states stay exact); they are float32 when loaded
    metadata   texts to keep with a model, read back as `model.metadata`

    An old file at `path` stays whole until the new one is complete. Keys of a bank may be text,
    whole numbers, or tuples of these; a bank over a step of your own is loaded with `step=`.
    """
    if dtype not in ("float32", "float16"):
        raise ValueError(f"dtype is {dtype!r}, expected 'float32' or 'float16'")
    if isinstance(what, Bank):
        keys, states = what.snapshot()
        known = type(what.model).__name__ in CLASSES
        description, tensors = _describe(what.model, dtype) if known else ({}, {})
        tensors = {f"step.{name}": array for name, array in tensors.items()}
        tensors["states"] = flat(states)
        description = {"kind": "Bank", "step": description, "keys": [_listed(k) for k in keys]}
    elif type(what).__name__ in CLASSES:
        description, tensors = _describe(what, dtype)
    else:
        raise TypeError(
            f"{type(what).__name__} cannot be saved, expected one of {', '.join(CLASSES)} or a Bank"
        )
    description |= {"version": VERSION, "fingerprint": fingerprint()}
    texts = dict(getattr(what, "metadata", {})) | dict(metadata or {})
    header = {"streamrnn": json.dumps(description), "metadata": json.dumps(texts)}
    contiguous = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    write(Path(path), safetensors.numpy.save(contiguous, metadata=header))


def _describe(step: Any, dtype: str) -> tuple[dict[str, Any], Tensors]:
    tensors: Tensors = {}
    if not isinstance(step, Bidirectional):
        tensors["state"] = flat(step.state.reshape(1))
    if isinstance(step, Windowed):
        config, own = _describe(step.model, dtype)
        tensors |= {f"of.{name}": array for name, array in own.items()}
        return {"kind": "Windowed", "config": {"window": step.window, "of": config}}, tensors
    if isinstance(step, NETWORKS):
        for name, array in step.parameters.items():
            with np.errstate(over="ignore"):
                tensors[name] = array.astype(dtype)
            if not np.isfinite(tensors[name]).all():
                raise ValueError(f"{name} holds weights beyond {dtype}'s range; save as float32")
        if not step.tokens:
            tensors |= {f"scale.{name}": array for name, array in step.scaling.items()}
    return {"kind": type(step).__name__, "config": step.config}, tensors


def write(path: Path, content: bytes) -> None:
    """Write a file whole: an old one at `path` stays until the new one is complete."""
    # In the same folder, since a rename is atomic only within one file system.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str], *, step: Step | None = None) -> Any:
    """Read what `save` wrote: a model that goes on where it stopped, or a bank with its streams.

    step   the step of a bank, where the file does not hold it

    Raises FormatError, with file, place, what was expected and what came, for any other file.
    """
    path = Path(path)
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            tensors = {name: _tensor(file, name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path}: not a whole safetensors file ({error})") from None
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    try:
        if "streamrnn" not in header:
            raise FormatError(
                "expected a file of streamrnn.save, found no description of it in the header; "
                "for PyTorch's weights: streamrnn.from_torch(path)"
            )
        description = json.loads(header["streamrnn"])
        if description["version"] > VERSION:
            raise FormatError(
                f"written in version {description['version']} of the format, this streamrnn reads "
                f"up to {VERSION}; install a newer one"
            )
        loaded: Any
        if description["kind"] == "Bank":
            loaded = _bank(description, tensors, step)
        else:
            loaded = _step(description, tensors)
            loaded.metadata = _texts(json.loads(header["metadata"]))
        return loaded
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        name = type(error).__name__
        raise FormatError(
            f"{path}: the description does not fit the content ({name}: {error})"
        ) from None


def _tensor(file: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = file.get_tensor(name)
    except (TypeError, AttributeError) as error:  # bfloat16 and the like
        raise FormatError(f"tensor {name}: NumPy cannot hold it ({error})") from None
    if array.dtype.kind not in "fiub":  # bfloat16 where another package taught NumPy of it
        raise FormatError(f"tensor {name}: NumPy cannot hold it ({array.dtype})")
    return array


def _texts(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(t, str) for t in metadata.values()):
        raise FormatError(f"metadata: expected texts by name, found {metadata!r:.60}")
    return metadata


def _step(description: dict[str, Any], tensors: Tensors) -> Any:
    kind, config = description["kind"], description["config"]
    if kind not in CLASSES:
        raise FormatError(f"kind is {kind!r}, expected one of {', '.join(CLASSES)} or Bank")
    # Before anything of a declared size is made: no size can exceed the numbers that came.
    count = sum(array.size for array in tensors.values())
    for name, value in config.items():
        if isinstance(value, int) and not 0 <= value <= count:
            raise FormatError(f"config.{name} is {value}, but the file holds {count} numbers")
    if kind in ("Sequential", "Bidirectional"):
        return _resumed(_line(CLASSES[kind], config, tensors), tensors)
    if kind == "Windowed":
        own = {n.removeprefix("of."): a for n, a in tensors.items() if n.startswith("of.")}
        return _resumed(Windowed(_step(config["of"], own), config["window"]), tensors)
    if not issubclass(CLASSES[kind], Model):
        _check_learned(config, tensors["state"].size)
    else:
        if config["num_layers"] > len(tensors):
            raise FormatError(
                f"config.num_layers is {config['num_layers']}, but the file holds "
                f"{len(tensors)} tensors"
            )
        expected = shapes(CLASSES[kind].cell_of(config), config)
        for name, shape in expected.items():
            found = tensors[name].shape if name in tensors else "missing"
            if found != shape:
                raise FormatError(f"{name} is {found}, expected {shape} for {_given(config)}")
    step = CLASSES[kind](**config)
    if isinstance(step, Model):
        for name in step.parameters:
            step.parameters[name] = tensors[name]
    return _resumed(step, tensors)


def _resumed(step: Any, tensors: Tensors) -> Any:
    """`step` with its scaling and its stream."""
    if isinstance(step, NETWORKS) and not step.tokens:
        step.scale(**{name: tensors[f"scale.{name}"] for name in step.scaling})
    if isinstance(step, Bidirectional):
        return step
    step.state = _states(step, tensors["state"]).reshape(())
    return step


def _line(
    kind: type[Sequential | Bidirectional], config: dict[str, Any], tensors: Tensors
) -> Sequential | Bidirectional:
    arrays: list[Tensors] = [{} for _ in config["layers"]]
    for name, array in tensors.items():
        n, _, parameter = name.partition(".")
        if n.isdecimal():
            arrays[int(n)][parameter] = array
    layers = [
        Layer(layer["kind"], own, layer["options"], layer["name"])
        for layer, own in zip(config["layers"], arrays, strict=True)
    ]
    return kind(layers, tokens=config["tokens"])


def _given(config: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in config.items())


def _check_learned(config: dict[str, Any], size: int) -> None:
    C, horizon = config["channels"], config["horizon"]
    least = CHANNEL_SIZE * C + 2 * horizon**2  # of the fields channels and said
    if least > size:
        raise FormatError(
            f"channels {C}, horizon {horizon} need a state of at least {least} numbers, but the "
            f"file holds {size}"
        )


def _bank(description: dict[str, Any], tensors: Tensors, step: Step | None) -> Bank:
    if step is None:
        if not description["step"]:
            raise FormatError("the bank's step is not in the file; give it: load(path, step=...)")
        own = {n.removeprefix("step."): a for n, a in tensors.items() if n.startswith("step.")}
        step = _step(description["step"], own)
    bank = Bank(step)
    keys = [_tupled(key) for key in description["keys"]]
    bank.restore(Snapshot(keys, _states(step, tensors["states"])))
    return bank


def _states(step: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """Rows (S, row) of the file as states (S,) of the step's layout."""
    states = allocate(step.layout, len(rows))
    if flat(states).shape != rows.shape or flat(states).dtype != rows.dtype:
        raise FormatError(
            f"states have shape {rows.shape} and dtype {rows.dtype}, expected "
            f"{flat(states).shape} and {flat(states).dtype} for this step"
        )
    flat(states)[:] = rows
    return states


def _listed(key: Any) -> Any:
    """A key as JSON holds it: a tuple becomes a list."""
    if isinstance(key, tuple):
        return [_listed(part) for part in key]
    if isinstance(key, str | int) and not isinstance(key, bool):
        return key
    raise TypeError(
        f"key {key!r} is of type {type(key).__name__}, expected text, whole numbers or tuples"
    )


def _tupled(key: Any) -> Any:
    return tuple(_tupled(part) for part in key) if isinstance(key, list) else key
