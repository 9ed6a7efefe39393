"""Tensors of a .safetensors file as NumPy arrays, bfloat16 among them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray

from streamrnn.formats import FormatError

KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Name -> array, 2 before 10; FormatError for a file not whole or not of numbers."""
    content = path.read_bytes()
    try:
        found = safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path}: not a whole safetensors file ({error})") from None
    size = int.from_bytes(content[:8], "little")
    if "streamrnn" in json.loads(content[8 : 8 + size]).get("__metadata__", {}):
        raise FormatError(
            f"{path}: was written by streamrnn.save; streamrnn.load and serve take it"
        )
    arrays = {name: _array(path, name, tensor) for name, tensor in found}
    return dict(sorted(arrays.items(), key=lambda item: _place(item[0])))


def _place(name: str) -> list[tuple[int, str]]:
    """What puts names in an order: the library gives them in another one each time."""
    parts = name.split(".")  # a number goes by its length, then by its digits
    return [(len(part) if part.isdecimal() else 0, part) for part in parts]


def _array(path: Path, name: str, tensor: dict[str, Any]) -> NDArray[Any]:
    kind, data = tensor["dtype"], bytes(tensor["data"])
    if kind == "BF16":  # the upper half of a float32
        array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in KINDS:
        array = np.frombuffer(data, KINDS[kind])
    else:
        expected = f"expected BF16 or one of {', '.join(KINDS)}"
        raise FormatError(f"{path}: {name} is of dtype {kind}, {expected}")
    return array.reshape(tensor["shape"])
