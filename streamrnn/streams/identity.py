"""Whether two steps are the same: only then can the states of one go on in the other."""

import hashlib
import json
from typing import Any

import numpy as np

from streamrnn.step import Step, flat, initial


def identity(step: Step) -> str:
    """A digest of what a step is: its kind, layout, beginning, configuration and parameters.

    It does not see code: two versions of a class of one's own have one identity unless they name
    their difference in `config`.

    >>> import streamrnn as srnn
    >>> one, other = srnn.GRU(2, 8, 1), srnn.GRU(2, 8, 1, seed=1)
    >>> identity(one) == identity(srnn.GRU(2, 8, 1))
    True
    >>> identity(one) == identity(other)  # other weights
    False
    """
    digest = hashlib.sha256()
    _add(digest, step)
    return digest.hexdigest()[:32]


def _add(digest: Any, step: Any) -> None:
    described = [type(step).__name__, step.layout.descr, step.inputs, step.outputs]
    described += [getattr(step, "config", None), [*getattr(step, "vocabulary", ())]]
    digest.update(json.dumps(described, default=str).encode())
    digest.update(flat(initial(step).reshape(1)).tobytes())
    for arrays in (getattr(step, "parameters", {}), getattr(step, "scaling", {})):
        for name, array in sorted(arrays.items()):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    if hasattr(step, "model"):  # a step around another
        _add(digest, step.model)
