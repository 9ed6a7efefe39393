"""Keras' files: .keras of version 3, and .h5 with weights and configuration of versions 2 and 3.

The configuration is read as JSON and the weights as arrays; no layer of a file is ever made, and a
Lambda is refused.
"""

import importlib
import io
import json
import os
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from streamrnn.formats import FormatError, hdf5
from streamrnn.formats.keras_layers import Given, is_recurrent, layers
from streamrnn.formats.layer import Layer, Line

Array = NDArray[Any]


def read(path: str | os.PathLike[str]) -> Line:
    """The layers of a .keras or .h5 file; FormatError for all else."""
    try:
        importlib.import_module("h5py")
    except ImportError:
        raise ImportError("reading Keras' files needs h5py: pip install h5py") from None
    path = Path(path)
    content = path.read_bytes()
    try:
        if content[:4] == b"PK\x03\x04":
            return _line(_of_archive(content))
        return _line(_of_h5(hdf5.read(content)))
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from None
    except Exception as error:  # JSON, ZIP and HDF5 may each be broken in their own way
        kind = type(error).__name__
        raise FormatError(
            f"{path}: expected a whole file of Keras' model.save, .keras or .h5; its content does "
            f"not fit ({kind}: {error!s:.200})"
        ) from None


def _line(given: Sequence[Given]) -> Line:
    found: list[Layer] = []
    ended = ""
    for one in given:
        if is_recurrent(one):
            if ended:
                raise one.refused(f"reads {ended}, which gives its last step alone")
            inner = one.config.get("layer", {}).get("config", one.config)
            ended = "" if inner.get("return_sequences") else one.name
        if one.kind == "Flatten" and ended:
            continue  # of one step: as it is
        found += layers(one)
    if not found:
        raise FormatError("no layers with weights")
    return Line(found, found[0].kind == "Embedding")


# which layers, in which order


def _configured(model: Any) -> list[dict[str, Any]]:
    """The layers' configurations, from the input on."""
    kind, config = model["class_name"], model["config"]
    if kind == "Sequential":
        listed = config["layers"] if isinstance(config, Mapping) else config
        return list(listed)
    if kind not in ("Functional", "Model"):
        raise FormatError(f"the model is a {kind}, expected Sequential or Functional")
    listed = config["layers"]
    before: str | None = None
    for layer in listed:
        sources = _sources(layer["inbound_nodes"])
        if sources != ([] if before is None else [before]):
            raise FormatError(
                f"layer {layer['name']} ({layer['class_name']}): reads {', '.join(sources)}, "
                f"expected {before}: a straight line"
            )
        before = layer["name"]
    return list(listed)


def _sources(nodes: Any) -> list[str]:
    """The layers that one reads: Keras 3 writes keras_history, 2 lists of [name, node, tensor]."""
    if isinstance(nodes, Mapping):
        history = nodes.get("keras_history")
        return [history[0]] if history else [s for v in nodes.values() for s in _sources(v)]
    if isinstance(nodes, list):
        if len(nodes) >= 3 and isinstance(nodes[0], str):
            return [nodes[0]]
        return [source for node in nodes for source in _sources(node)]
    return []


# .keras


def _of_archive(content: bytes) -> list[Given]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: _member(archive, name, len(content)) for name in archive.namelist()}
    for name in ("config.json", "metadata.json", "model.weights.h5"):
        if name not in members:
            raise FormatError(f"{name} is missing, found {', '.join(members) or 'nothing'}")
    version = int(str(json.loads(members["metadata.json"])["keras_version"]).partition(".")[0])
    arrays = hdf5.read(members["model.weights.h5"]).arrays
    used: dict[str, int] = {}
    found = []
    for layer in _configured(json.loads(members["config.json"])):
        kind = layer["class_name"]
        place = _snake(kind)
        used[place] = used.get(place, -1) + 1
        place = f"layers/{place}" + (f"_{used[place]}/" if used[place] else "/")
        weights = _numbered({k: a for k, a in arrays.items() if k.startswith(place)})
        found.append(Given(kind, layer["config"]["name"], layer["config"], weights, version))
    return found


def _member(archive: zipfile.ZipFile, name: str, size: int) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > hdf5.RATIO * size + hdf5.ROOM:
        raise FormatError(f"{name}: {info.file_size} bytes in a file of {size}, expected fewer")
    return archive.read(name)


def _snake(name: str) -> str:
    """The name of a class as Keras files its weights."""
    name = re.sub(r"\W+", "", name)
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def _numbered(arrays: Mapping[str, Array]) -> list[Array]:
    """The weights of a layer, or of what it goes around, by number: the way forward first."""
    kept = [name for name in arrays if "/seed_generator/" not in name]
    order = sorted(
        kept, key=lambda name: ("/backward_layer/" in name, int(name.rpartition("/")[2]))
    )
    return [arrays[name] for name in order]


# .h5


def _of_h5(content: hdf5.Content) -> list[Given]:
    whole = content.texts[""]
    if "model_config" not in whole:
        raise FormatError(
            "holds weights without the layers' configuration; save both: model.save(path)"
        )
    version = int(whole.get("keras_version", "2").partition(".")[0])
    found = []
    for layer in _configured(json.loads(whole["model_config"])):
        config = layer["config"]
        name = config.get("name", layer.get("name", ""))
        place = f"model_weights/{name}"
        texts = content.texts.get(place, {})
        listed = [key for key in texts if key.startswith("weight_names")]  # in parts if very long
        names = [one for key in sorted(listed, key=len) for one in texts[key]]
        weights = [_array(content, f"{place}/{one}") for one in names]
        found.append(Given(layer["class_name"], name, config, weights, version))
    return found


def _array(content: hdf5.Content, path: str) -> Array:
    if path not in content.arrays:
        raise FormatError(f"{path}: expected an array of numbers, found none in this file")
    return content.arrays[path]
