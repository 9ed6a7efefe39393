"""Four neighbouring float64 at once, for loops that are short but come by the thousand.

LLVM vectorises a plain loop for hundreds of turns and leaves the rest of it scalar; those of the
forecaster have 12 to 44 turns, and were nearly all rest.  One body serves both widths:

    for j in range(0, d - 3, 4):
        body(..., j, FOUR)
    for j in range(d - d % 4, d):
        body(..., j, ONE)

An array is read as if it were flat.  Nothing here checks bounds: who calls, checks.  `matrix` is
`reshape` without the call that takes as long as the rest of a small loop.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model
from numba.np.arrayobj import populate_array

from streamrnn.kernels.simd import I32, intrinsic

FOUR, ONE = (0, 0, 0, 0), (0,)
F64 = ir.DoubleType()
F64S = ir.VectorType(F64, 4)


class Four(types.Type):
    """Four float64 in one register."""


V4 = Four("float64 x 4")


@register_model(Four)
class FourModel(models.PrimitiveModel):
    def __init__(self, manager, type_):
        super().__init__(manager, type_, F64S)


def _type(lanes):
    return V4 if lanes.count == 4 else types.float64


def _pointer(context, builder, array_type, array, at, value_type):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), context.get_value_type(value_type).as_pointer())


def _splat(builder, value):
    if value.type == F64S:
        return value
    one = builder.insert_element(ir.Constant(F64S, ir.Undefined), value, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, 4), [0] * 4))


@intrinsic
def matrix(typing, array, begin, rows, columns):
    """The (rows, columns) that begin at array[begin], an array of one dimension."""
    result = types.Array(array.dtype, 2, "C")

    def generate(context, builder, signature, arguments):
        values, begin, rows, columns = arguments
        data = context.make_array(array)(context, builder, values).data
        size = ir.Constant(begin.type, 8)
        made = context.make_array(result)(context, builder)
        populate_array(
            made,
            data=builder.gep(data, [begin]),
            shape=(rows, columns),
            strides=(builder.mul(columns, size), size),
            itemsize=size,
            meminfo=None,
        )
        return made._getvalue()

    return result(array, types.int64, types.int64, types.int64), generate


@intrinsic
def load(typing, array, at, lanes):
    """array[at], or the four from there on."""
    result = _type(lanes)

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, array, arguments[0], arguments[1], result)
        return builder.load(pointer, align=8)

    return result(array, types.int64, lanes), generate


@intrinsic
def store(typing, array, at, value):
    """array[at], ... = value."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, array, arguments[0], arguments[1], value)
        builder.store(arguments[2], pointer, align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), generate


@intrinsic
def zero(typing, lanes):
    """As many zeros."""
    result = _type(lanes)

    def generate(context, builder, signature, arguments):
        return ir.Constant(context.get_value_type(result), [0.0] * 4 if lanes.count == 4 else 0.0)

    return result(lanes), generate


@intrinsic
def fma(typing, x, y, z):
    """x y + z, rounded once where the CPU can; a number stands for four of it.

    One rounding also for ONE, so that P_ij and P_ji come out alike however they are computed.
    """
    result = V4 if V4 in (x, y, z) else types.float64

    def generate(context, builder, signature, arguments):
        kind, name = (F64S, "v4f64") if result == V4 else (F64, "f64")
        if result == V4:
            arguments = [_splat(builder, argument) for argument in arguments]
        type_ = ir.FunctionType(kind, [kind] * 3)
        function = cgutils.get_or_insert_function(builder.module, type_, f"llvm.fmuladd.{name}")
        return builder.call(function, arguments)

    return result(x, y, z), generate


def _pairwise(build):
    """An operation on x and y; a number stands for four of it."""

    @intrinsic
    def operation(typing, x, y):
        result = V4 if V4 in (x, y) else types.float64

        def generate(context, builder, signature, arguments):
            if result == V4:
                arguments = [_splat(builder, argument) for argument in arguments]
            return build(builder, *arguments)

        return result(x, y), generate

    return operation


plus = _pairwise(lambda builder, x, y: builder.fadd(x, y))
minus = _pairwise(lambda builder, x, y: builder.fsub(x, y))
times = _pairwise(lambda builder, x, y: builder.fmul(x, y))
over = _pairwise(lambda builder, x, y: builder.fdiv(x, y))
least = _pairwise(lambda builder, x, y: builder.select(builder.fcmp_ordered("<", x, y), x, y))
most = _pairwise(lambda builder, x, y: builder.select(builder.fcmp_ordered(">", x, y), x, y))

# 1 where x < y, else 0
less = _pairwise(lambda builder, x, y: builder.uitofp(builder.fcmp_ordered("<", x, y), x.type))


@intrinsic
def total(typing, x):
    """The sum of the four, (x0 + x2) + (x1 + x3)."""

    def generate(context, builder, signature, arguments):
        undefined = ir.Constant(F64S, ir.Undefined)
        low, high = (
            builder.shuffle_vector(arguments[0], undefined, ir.Constant(ir.VectorType(I32, 2), at))
            for at in ([0, 1], [2, 3])
        )
        pair = builder.fadd(low, high)
        return builder.fadd(*(builder.extract_element(pair, ir.Constant(I32, n)) for n in (0, 1)))

    return types.float64(x), generate
