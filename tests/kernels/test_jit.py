"""Inner functions: compiled only within the kernels that call them."""

import numpy as np

from streamrnn.kernels.jit import inner, jit


@inner
def scaled(a, i):
    return 2.0 * a[i]


@inner
def between(a, i):
    return scaled(a, i) + scaled(a, i + 1)


@jit
def summed(a):
    total = 0.0
    for i in range(len(a) - 1):
        total += between(a, i)
    return total


@jit
def last(a):
    return scaled(a, len(a) - 1)


def test_kernels_may_share_an_inner_function():
    a = np.array([1.0, 2.0, 4.0])
    assert summed(a) == 18.0
    assert last(a) == 8.0


def test_an_inner_function_has_no_machine_code_of_its_own():
    summed(np.zeros(2))
    for function in (scaled, between):
        (compiled,) = function.overloads.values()
        name = compiled.fndesc.llvm_func_name
        assert compiled.library.get_pointer_to_function(name) == 0
