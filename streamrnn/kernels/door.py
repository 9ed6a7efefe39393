"""The fast way in from Python: a builtin over the compiled kernel, for one sample at a time.

Numba takes 0.2 to 0.6 us to unpack the arguments of a call, several times a small step. `builtin`
and `mover` make what CPython calls a METH_O function: its one argument arrives as a pointer, and a
float or an array of the step's scalars is read straight from the object's memory. Whatever else
comes is left to Python, which converts it or raises.

builtin   a network's step, which returns y
mover     a learner's, which returns a named tuple of new arrays
"""

import ctypes
import sys
import sysconfig
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.np.numpy_support import carray
from numpy.typing import NDArray

from streamrnn.kernels.jit import CFunction, inner, view
from streamrnn.kernels.network import part
from streamrnn.kernels.simd import call, integer, intrinsic, read, set_integer, write

METH_O = 8

# what `self` holds, an array of int64, first what the argument is read by: how many numbers, where
# they go, and the types and the dtype that are known
SIZE, X, ARRAY, SCALARS, FLOAT, FLOAT64 = range(6)
# then of a network
PLAN, WEIGHTS, STATE, ROW, OUTPUTS, Y, SCRATCH, SLOW, RESULT, COUNT = range(6, 16)
# or of a learner: None, its CFunction, the target, the type of its result, `copy` of each of the
# COLUMNS that has, then address and size of each array
COLUMNS = 3
NONE, BODY, TARGET, KIND, COPY, ARRAYS = *range(6, 11), 10 + COLUMNS

# words of CPython's and NumPy's objects; `available` holds them against real ones
TYPE, VALUE, DATA, DIMENSIONS, SHAPE, STRIDES, DTYPE = 1, 2, 2, 3, 4, 5, 7

_to_float: Any = types.ExternalFunction("PyFloat_FromDouble", types.int64(types.float64))
_call: Any = types.ExternalFunction("PyObject_CallOneArg", types.int64(types.int64, types.int64))
_keep: Any = types.ExternalFunction("Py_IncRef", types.void(types.int64))
_drop: Any = types.ExternalFunction("Py_DecRef", types.void(types.int64))
_call_alone: Any = types.ExternalFunction("PyObject_CallNoArgs", types.int64(types.int64))
_tuple: Any = types.ExternalFunction("PyType_GenericAlloc", types.int64(types.int64, types.int64))
_set_item: Any = types.ExternalFunction(
    "PyTuple_SetItem", types.int32(types.int64, types.int64, types.int64)
)


@intrinsic
def _double(typing, address, at):
    """The one float64 at address[at], counted in float64."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.DoubleType().as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return types.float64(types.int64, types.int64), generate


@inner
def _number(p, argument):
    """Whether the argument is a number that will do for a row."""
    kind = integer(argument, TYPE)
    return integer(p, SIZE) == 1 and (kind == integer(p, FLOAT) or kind == integer(p, FLOAT64))


@inner
def _row(p, argument, width):
    """Whether it is an array of so many numbers, of `width` bytes each, one after another."""
    return (
        integer(argument, TYPE) == integer(p, ARRAY)
        and integer(argument, DTYPE) == integer(p, SCALARS)
        and integer(argument, DIMENSIONS) & 0xFFFFFFFF == 1
        and integer(integer(argument, SHAPE), 0) == integer(p, SIZE)
        and integer(integer(argument, STRIDES), 0) == width
    )


def _step(self, argument):
    """`self(argument)`: one step; returns y, or y[0] as a float where there is no array for it."""
    p = integer(self, DATA)
    I, x = integer(p, SIZE), integer(p, X)
    if _number(p, argument):
        write(x, 0, np.float32(_double(argument, VALUE)))
    elif _row(p, argument, 4):
        x = integer(argument, DATA)
    else:
        return _call(integer(p, SLOW), argument)
    y, outputs = integer(p, Y), integer(p, OUTPUTS)
    part(
        integer(p, PLAN),
        integer(p, WEIGHTS),
        integer(p, STATE),
        0,
        p + 8 * ROW,
        1,
        1,
        integer(p, COUNT),
        x,
        I,
        y,
        outputs,
        integer(p, SCRATCH),
    )
    set_integer(p, COUNT, integer(p, COUNT) + 1)
    result = integer(p, RESULT)
    if result == 0:
        return _to_float(float(read(y, 0)))
    _keep(result)
    return result


STEP = CFunction(_step, "int64")


def _move(self, argument):
    """`self(argument)`: the learner moves by a row; None, and nothing done, for another object."""
    p = integer(self, DATA)
    x = integer(p, X)
    if _number(p, argument):
        set_integer(x, 0, integer(argument, VALUE))
    elif _row(p, argument, 8):
        for i in range(integer(p, SIZE)):
            set_integer(x, i, integer(integer(argument, DATA), i))
    else:
        _keep(integer(p, NONE))
        return integer(p, NONE)
    call(integer(p, BODY), (p,))
    result = _tuple(integer(p, KIND), COLUMNS)
    for column in range(COLUMNS if result != 0 else 0):
        array = _call_alone(integer(p, COPY + column))
        if array == 0:
            _drop(result)
            return 0
        _set_item(result, column, array)
    return result


MOVE = CFunction(_move, "int64")


@intrinsic
def _pointer(typing, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@view
def _ints(p, n):
    return carray(_pointer(integer(p, ARRAYS + 2 * n)), integer(p, ARRAYS + 2 * n + 1), np.int64)


@view
def _doubles(p, n):
    return carray(_pointer(integer(p, ARRAYS + 2 * n)), integer(p, ARRAYS + 2 * n + 1), np.float64)


@view
def arguments(p):
    """Those of the learners' `advance`, from what `mover` has noted."""
    return (
        integer(p, TARGET),
        _ints(p, 0),
        _ints(p, 1).reshape(-1, 2),
        _ints(p, 2),
        _doubles(p, 3).reshape(3, -1),
        _doubles(p, 4),
        _doubles(p, 5).reshape(1, -1),
        _ints(p, 6),
        _doubles(p, 7),
        _doubles(p, 8).reshape(1, -1),
        _doubles(p, 9).reshape(1, -1),
    )


class MethodDef(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def available() -> bool:
    """Whether objects lie in memory as `_step` reads them: CPython with the GIL, on 64 bits."""
    if (
        sys.implementation.name != "cpython"
        or sys.maxsize < 2**62
        or sysconfig.get_config_var("Py_GIL_DISABLED")
    ):
        return False
    number, wide, array = 1.5, np.float64(1.5), np.zeros((3, 5), np.float32)[:, 2]
    words = np.ctypeslib.as_array((ctypes.c_int64 * 8).from_address(id(array)))
    shape, strides = ((ctypes.c_int64 * 1).from_address(int(words[k]))[0] for k in (SHAPE, STRIDES))
    return (
        ctypes.c_double.from_address(id(number) + 8 * VALUE).value == number
        and ctypes.c_double.from_address(id(wide) + 8 * VALUE).value == number
        and words[TYPE] == id(np.ndarray)
        and words[DATA] == array.ctypes.data
        and words[DIMENSIONS] & 0xFFFFFFFF == 1
        and (shape, strides) == (3, 20)
        and words[DTYPE] == id(np.dtype(np.float32))
    )


def builtin(
    plan: NDArray[np.int64],
    weights: NDArray[np.float32],
    states: NDArray[np.float32],
    inputs: int,
    y: NDArray[np.float32],
    scratch: NDArray[np.float32],
    slow: Callable[[Any], Any],
    scalar: bool,
) -> Callable[[Any], Any]:
    """A function of one argument that steps row 0 of `states` and returns y (y[0] when scalar).

    slow(argument) is called for any argument but a float (inputs = 1) or float32 array (inputs,).
    The arrays live as long as the function does.
    """
    x = np.zeros(inputs, np.float32)
    words = _words(COUNT + 1, x)
    words[PLAN], words[WEIGHTS] = plan.ctypes.data, weights.ctypes.data
    words[STATE], words[OUTPUTS] = states.ctypes.data, len(y)
    words[Y], words[SCRATCH] = y.ctypes.data, scratch.ctypes.data
    words[SLOW], words[RESULT] = id(slow), 0 if scalar else id(y)
    return _method(STEP, words, (plan, weights, states, x, y, scratch, slow))


def mover(
    body: CFunction,
    target: int,
    arrays: Sequence[NDArray[Any]],
    x: NDArray[np.float64],
    kind: type[tuple[Any, ...]],
    columns: Sequence[NDArray[Any]],
) -> Callable[[Any], Any]:
    """A function of a row that moves a learner by it, and returns what it says then.

    It returns None for any argument but a float (one channel) or float64 array (channels,).
    body     CFunction of the learner that calls its `advance` with `arguments`
    arrays   these, after the target; x is among them
    kind     the named tuple of COLUMNS that is returned, copies of `columns`
    """
    words = _words(ARRAYS + 2 * len(arrays), x)
    copies = [column.copy for column in columns]
    words[NONE], words[BODY], words[TARGET] = id(None), body.address, target
    words[KIND], words[COPY:ARRAYS] = id(kind), [id(copy) for copy in copies]
    words[ARRAYS::2] = [array.ctypes.data for array in arrays]
    words[ARRAYS + 1 :: 2] = [array.size for array in arrays]
    return _method(MOVE, words, (*arrays, kind, *copies))


def _words(count: int, x: NDArray[Any]) -> NDArray[np.int64]:
    """What `self` holds, with what the argument is read by; rows go to x."""
    words = np.zeros(count, np.int64)
    words[SIZE], words[X] = x.size, x.ctypes.data
    # arrays that were pickled have dtypes of their own: x's may be one
    words[ARRAY], words[SCALARS] = id(np.ndarray), id(np.dtype(x.dtype.type))
    words[FLOAT], words[FLOAT64] = id(float), id(np.float64)
    return words


def _method(
    function: CFunction, words: NDArray[np.int64], alive: tuple[Any, ...]
) -> Callable[[Any], Any]:
    """A builtin whose `self` is `words`; what their addresses are of stays alive with it."""
    method = MethodDef(b"step", function.address, METH_O, b"step(x) -> y")
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    # The last argument, a builtin's module, is an object that the builtin keeps alive.
    builtin: Callable[[Any], Any] = create(ctypes.addressof(method), words, (method, *alive))
    return builtin
