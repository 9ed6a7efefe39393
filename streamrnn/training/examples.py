"""What a user gives `fit`, checked and made into sequences."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamrnn.kernels.training import loss
from streamrnn.model import Model
from streamrnn.modes import Example, named, teach, x_size
from streamrnn.training.bptt import layer_of


class Loss(NamedTuple):
    """What is minimised.

    of        (y, target, weight, scale) -> sum, and the gradient in place of y
    classes   targets are ids of classes, not numbers
    repeat    columns of y for each column of a target
    """

    of: Callable[..., float]
    classes: bool = False
    repeat: int = 1


def loss_named(name: str, model: Model, quantiles: Sequence[float]) -> Loss:
    """squared_error, cross_entropy or pinball, for a model's outputs."""
    O = model.outputs
    if name == "squared_error":
        return Loss(loss.squared_error)
    if name == "cross_entropy":
        return Loss(lambda *rest: loss.cross_entropy(*rest, O), classes=True)
    if name != "pinball":
        raise ValueError(
            f"loss is {name!r}, expected 'squared_error', 'cross_entropy' or 'pinball'"
        )
    Q = len(quantiles)
    if Q == 0 or O % Q or not all(0 < q < 1 for q in quantiles):
        raise ValueError(
            f"quantiles are {tuple(quantiles)}, expected numbers between 0 and 1 whose count "
            f"divides the model's {O} outputs"
        )
    columns = np.tile(np.array(quantiles, np.float32), O // Q)
    return Loss(lambda *rest: loss.pinball(*rest, columns), repeat=Q)


def is_stream(model: Model, inputs: Any, mode: str) -> bool:
    """Whether `inputs` are one long stream: an array of rows, or of tokens."""
    if mode != "synced" or not isinstance(inputs, np.ndarray):
        return False
    return inputs.ndim == 1 if model.tokens else inputs.ndim < 3


def examples(model: Model, inputs: Any, targets: Any, mode: str, loss: Loss) -> list[Example]:
    """One example for each sequence, or a single one for a long stream.

    Raises ValueError or TypeError, naming the sequence, for what does not fit the model or mode.
    """
    layer_of(model)
    size = x_size(mode, model.input_size, model.outputs)
    if is_stream(model, inputs, mode):
        inputs, targets, where = [inputs], [targets], ("inputs", "targets")
    else:
        where = ("inputs[{}]", "targets[{}]")
    if len(inputs) != len(targets):
        raise ValueError(
            f"{len(inputs)} sequences of inputs and {len(targets)} of targets, expected as many"
        )
    if sum(np.size(x) for x in inputs) == 0:
        raise ValueError("inputs are empty, expected at least one step to learn from")
    reads, emits, _ = named(mode)
    found = []
    for n, (x, target) in enumerate(zip(inputs, targets, strict=True)):
        names = [name.format(n) for name in where]
        rows: NDArray[Any]
        goal: NDArray[Any]
        rows = _tokens(x, size, names[0]) if model.tokens else _rows(x, size, names[0], reads)
        if loss.classes:
            goal = _tokens(target, model.outputs, names[1])
        else:
            goal = _rows(target, model.outputs // loss.repeat, names[1], emits)
            if loss.repeat > 1:
                goal = np.repeat(goal, loss.repeat, axis=1)
        try:
            found.append(teach(mode, rows, goal, model.input_size, model.outputs))
        except ValueError as error:
            raise ValueError(f"{names[0]} and {names[1]}: {error}") from None
    if not any((e.target >= 0 if loss.classes else ~np.isnan(e.target)).any() for e in found):
        raise ValueError("targets ask for nothing: all of them are missing")
    return found


def _rows(values: ArrayLike, size: int, name: str, when: str) -> NDArray[np.float32]:
    rows = np.asarray(values)
    if rows.dtype.kind not in "biuf":
        raise TypeError(f"{name} holds values of dtype {rows.dtype}, expected numbers")
    if rows.ndim < 2 and when in ("first", "last"):
        rows = rows.reshape(1, -1)
    elif rows.ndim == 1 and size == 1:
        rows = rows.reshape(-1, 1)
    if rows.ndim != 2 or rows.shape[1] != size:
        raise ValueError(f"{name} has shape {rows.shape}, expected (T, {size})")
    rows = rows.astype(np.float32, copy=False)
    if np.isinf(rows).any():
        raise ValueError(f"{name} holds infinite numbers; write a missing value as NaN")
    return rows


def _tokens(values: ArrayLike, size: int, name: str) -> NDArray[np.integer[Any]]:
    ids = np.atleast_1d(np.asarray(values))
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{name} holds values of dtype {ids.dtype}, expected integers, ids")
    if ids.ndim != 1:
        raise ValueError(f"{name} has shape {ids.shape}, expected (T,), an id for each step")
    if len(ids) and (ids.max() >= size or ids.min() < -1):
        raise ValueError(
            f"{name} goes from {ids.min()} to {ids.max()}, expected ids from 0 to {size - 1}, "
            "or -1 for none"
        )
    return ids
