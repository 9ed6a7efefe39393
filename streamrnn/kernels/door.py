"""The fast way in from Python: a builtin over the compiled kernel, for one sample at a time.

Numba takes 0.2 to 0.6 us to unpack the arguments of a call, several times a small step. `builtin`
makes what CPython calls a METH_O function: its one argument arrives as a pointer, and a float or a
float32 array is read straight from the object's memory. Whatever else comes goes to a Python
function, which converts it or raises.
"""

import ctypes
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numpy.typing import NDArray

from streamrnn.kernels.jit import CFunction
from streamrnn.kernels.network import part
from streamrnn.kernels.simd import integer, intrinsic, read, set_integer, write

METH_O = 8

# what `self` holds, an array of int64
(
    PLAN,
    WEIGHTS,
    STATE,
    ROW,
    SIZE,
    OUTPUTS,
    X,
    Y,
    SCRATCH,
    SLOW,
    RESULT,
    ARRAY,
    FLOAT32,
    FLOAT,
    COUNT,
) = range(15)

# words of CPython's and NumPy's objects; `available` holds them against real ones
TYPE, VALUE, DATA, DIMENSIONS, SHAPE, STRIDES, DTYPE = 1, 2, 2, 3, 4, 5, 7

_to_float: Any = types.ExternalFunction("PyFloat_FromDouble", types.int64(types.float64))
_call: Any = types.ExternalFunction("PyObject_CallOneArg", types.int64(types.int64, types.int64))
_keep: Any = types.ExternalFunction("Py_IncRef", types.void(types.int64))


@intrinsic
def _double(typing, address, at):
    """The one float64 at address[at], counted in float64."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.DoubleType().as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return types.float64(types.int64, types.int64), generate


def _step(self, argument):
    """`self(argument)`: one step; returns y, or y[0] as a float where there is no array for it."""
    p = integer(self, DATA)
    I, kind = integer(p, SIZE), integer(argument, TYPE)
    x = integer(p, X)
    if kind == integer(p, FLOAT) and I == 1:
        write(x, 0, np.float32(_double(argument, VALUE)))
    elif (
        kind == integer(p, ARRAY)
        and integer(argument, DTYPE) == integer(p, FLOAT32)
        and integer(argument, DIMENSIONS) & 0xFFFFFFFF == 1
        and integer(integer(argument, SHAPE), 0) == I
        and integer(integer(argument, STRIDES), 0) == 4
    ):
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
    number, array = 1.5, np.zeros((3, 5), np.float32)[:, 2]
    words = np.ctypeslib.as_array((ctypes.c_int64 * 8).from_address(id(array)))
    shape, strides = ((ctypes.c_int64 * 1).from_address(int(words[k]))[0] for k in (SHAPE, STRIDES))
    return (
        ctypes.c_double.from_address(id(number) + 8 * VALUE).value == number
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
    words = np.zeros(COUNT + 1, np.int64)
    words[PLAN], words[WEIGHTS] = plan.ctypes.data, weights.ctypes.data
    words[STATE], words[SIZE], words[OUTPUTS] = states.ctypes.data, inputs, len(y)
    words[X], words[Y], words[SCRATCH] = x.ctypes.data, y.ctypes.data, scratch.ctypes.data
    words[SLOW], words[RESULT] = id(slow), 0 if scalar else id(y)
    words[ARRAY], words[FLOAT32], words[FLOAT] = id(np.ndarray), id(np.dtype(np.float32)), id(float)
    method = MethodDef(b"step", STEP.address, METH_O, b"step(x) -> y")
    create = ctypes.pythonapi.PyCFunction_NewEx
    create.restype = ctypes.py_object
    create.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.py_object]
    # The last argument, a builtin's module, is an object that the builtin keeps alive.
    alive = (words, method, plan, weights, states, x, y, scratch, slow)
    function: Callable[[Any], Any] = create(ctypes.addressof(method), words, alive)
    return function
