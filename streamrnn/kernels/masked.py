"""The first lanes of a vector: what is left of an array whose length is no multiple of LANES.

LLVM makes one instruction of it where the CPU has masks, and branches where it has none. Either way
nothing beyond is read or written.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from streamrnn.kernels.simd import F32S, I32, I32S, LANES, V, intrinsic, pointer_to


def _first(builder, count):
    """The mask of the first `count` lanes."""
    lanes = ir.Constant(I32S, list(range(LANES)))
    undefined = ir.Constant(I32S, ir.Undefined)
    one = builder.insert_element(undefined, builder.trunc(count, I32), ir.Constant(I32, 0))
    counts = builder.shuffle_vector(one, undefined, ir.Constant(I32S, [0] * LANES))
    return builder.icmp_signed("<", lanes, counts)


def _masked(builder, name, result, *arguments):
    type_ = ir.FunctionType(result, [argument.type for argument in arguments])
    name = f"llvm.masked.{name}.v{LANES}f32.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, type_, name), arguments)


@intrinsic
def load_part(typing, address, at, count):
    """The vector of `count` floats from address[at] on, 1 .. LANES; what fills it up is zero."""

    def generate(context, builder, signature, arguments):
        address, at, count = arguments
        pointer = builder.bitcast(pointer_to(builder, address, at), F32S.as_pointer())
        zero, align = ir.Constant(F32S, [0.0] * LANES), ir.Constant(I32, 4)
        return _masked(builder, "load", F32S, pointer, align, _first(builder, count), zero)

    return V(types.int64, types.int64, types.int64), generate


@intrinsic
def store_part(typing, address, at, count, vector):
    """address[at], ... = the first `count` lanes of `vector`, 1 .. LANES."""

    def generate(context, builder, signature, arguments):
        address, at, count, vector = arguments
        pointer = builder.bitcast(pointer_to(builder, address, at), F32S.as_pointer())
        align, mask = ir.Constant(I32, 4), _first(builder, count)
        _masked(builder, "store", ir.VoidType(), vector, pointer, align, mask)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, V), generate
