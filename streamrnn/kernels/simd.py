"""Vectors of float32 inside Numba, so that a kernel holds its sums in registers that it names.

A plain loop leaves it to LLVM whether and how it is vectorised; here `loads(weights, at, GATES)` is
a register for each gate, and `fma_first` one multiply-add each. A vector has LANES lanes, what the
CPU's registers hold. Each lane is a unit's sum of its own: the width changes no result.

Kernels work on addresses (int64), counted in float32: arrays between compiled functions cost up to
half the time of a small step. Nothing here checks bounds: who calls, checks.
"""

import operator
import os
from typing import Any

import numba
from llvmlite import binding as llvm
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, overload, register_model


def _lanes() -> int:
    """16 with AVX-512, 8 with AVX, else 4 (SSE2, NEON); STREAMRNN_LANES forces a width."""
    forced = os.environ.get("STREAMRNN_LANES")
    if forced is not None:
        if forced not in ("4", "8", "16"):
            raise ValueError(f"STREAMRNN_LANES is {forced!r}, expected 4, 8 or 16")
        return int(forced)
    if numba.config.CPU_NAME == "generic":  # type: ignore[attr-defined]
        return 4
    features = llvm.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx") else 4


LANES = _lanes()
intrinsic: Any = extending.intrinsic  # its type hides the arguments of what it decorates
F32, I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
F32S, I32S = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)


class Vector(types.Type):
    """LANES float32 in one register."""


V = Vector(f"float32 x {LANES}")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    def __init__(self, manager, type_):
        super().__init__(manager, type_, F32S)


# memory


def pointer_to(builder, address, at):
    return builder.gep(builder.inttoptr(address, F32.as_pointer()), [at])


def _load(builder, pointer):
    return builder.load(builder.bitcast(pointer, F32S.as_pointer()), align=4)


def _splat(builder, value):
    undefined = ir.Constant(F32S, ir.Undefined)
    one = builder.insert_element(undefined, value, ir.Constant(I32, 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(I32S, [0] * LANES))


@intrinsic
def load(typing, address, at):
    """The vector that begins at address[at]."""

    def generate(context, builder, signature, arguments):
        return _load(builder, pointer_to(builder, *arguments))

    return V(types.int64, types.int64), generate


@intrinsic
def loads(typing, address, at, gates):
    """A vector for each of the tuple `gates`, one after another from address[at] on."""
    vectors = types.UniTuple(V, gates.count)

    def generate(context, builder, signature, arguments):
        first = pointer_to(builder, *arguments[:2])
        offsets = (ir.Constant(I64, j * LANES) for j in range(vectors.count))
        loaded = [_load(builder, builder.gep(first, [offset])) for offset in offsets]
        return context.make_tuple(builder, vectors, loaded)

    return vectors(types.int64, types.int64, gates), generate


@intrinsic
def store(typing, address, at, vector):
    """address[at], ... = vector."""

    def generate(context, builder, signature, arguments):
        pointer = pointer_to(builder, *arguments[:2])
        builder.store(arguments[2], builder.bitcast(pointer, F32S.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, V), generate


@intrinsic
def broadcasts(typing, address, at, stride, streams):
    """For each m of the tuple `streams` the vector whose lanes all are address[at + m stride]."""
    vectors = types.UniTuple(V, streams.count)

    def generate(context, builder, signature, arguments):
        address, at, stride, _ = arguments
        loaded = []
        for _ in range(vectors.count):
            loaded.append(_splat(builder, builder.load(pointer_to(builder, address, at), align=4)))
            at = builder.add(at, stride)
        return context.make_tuple(builder, vectors, loaded)

    return vectors(types.int64, types.int64, types.int64, streams), generate


@intrinsic
def load_tile(typing, address, at, stride, rows, columns):
    """For each of the tuple `rows` as many neighbouring vectors as the tuple `columns` has.

    Row m begins at address[at + m stride]; the result is one tuple, row by row.
    """
    vectors = types.UniTuple(V, rows.count * columns.count)

    def generate(context, builder, signature, arguments):
        address, at, stride = arguments[:3]
        loaded = []
        for _ in range(rows.count):
            first = pointer_to(builder, address, at)
            for j in range(columns.count):
                loaded.append(_load(builder, builder.gep(first, [ir.Constant(I64, j * LANES)])))
            at = builder.add(at, stride)
        return context.make_tuple(builder, vectors, loaded)

    return vectors(types.int64, types.int64, types.int64, rows, columns), generate


@intrinsic
def store_tile(typing, address, at, stride, rows, vectors):
    """Write back what `load_tile` read, or another tuple of as many vectors."""

    def generate(context, builder, signature, arguments):
        address, at, stride = arguments[:3]
        stored = cgutils.unpack_tuple(builder, arguments[4])
        columns = len(stored) // rows.count
        for m in range(rows.count):
            first = pointer_to(builder, address, at)
            for j in range(columns):
                pointer = builder.gep(first, [ir.Constant(I64, j * LANES)])
                pointer = builder.bitcast(pointer, F32S.as_pointer())
                builder.store(stored[m * columns + j], pointer, align=4)
            at = builder.add(at, stride)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, rows, vectors), generate


@intrinsic
def fetch(typing, address):
    """Begin to bring the cache line of an address near; nothing waits for it."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], ir.IntType(8).as_pointer())
        type_ = ir.FunctionType(ir.VoidType(), [pointer.type, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, type_, "llvm.prefetch.p0")
        read, near, data = (ir.Constant(I32, number) for number in (0, 3, 1))
        builder.call(function, [pointer, read, near, data])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def read(typing, address, at):
    """The one float32 at address[at]."""

    def generate(context, builder, signature, arguments):
        return builder.load(pointer_to(builder, *arguments), align=4)

    return types.float32(types.int64, types.int64), generate


@intrinsic
def write(typing, address, at, value):
    """address[at] = value, one float32."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], pointer_to(builder, *arguments[:2]), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), generate


@intrinsic
def integer(typing, address, at):
    """The one int64 at address[at], counted in int64."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], I64.as_pointer())
        return builder.load(builder.gep(pointer, [arguments[1]]))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def set_integer(typing, address, at, value):
    """address[at] = value, one int64."""

    def generate(context, builder, signature, arguments):
        pointer = builder.inttoptr(arguments[0], I64.as_pointer())
        builder.store(arguments[2], builder.gep(pointer, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


# arithmetic


def _fma(builder, x, y, z):
    # llvm.fmuladd, not llvm.fma: without the instruction that becomes a library call, 40x slower
    type_ = ir.FunctionType(F32S, [F32S] * 3)
    name = f"llvm.fmuladd.v{LANES}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, type_, name), [x, y, z])


@intrinsic
def fma(typing, x, y, z):
    """x y + z, rounded once where the CPU can."""

    def generate(context, builder, signature, arguments):
        return _fma(builder, *arguments)

    return V(V, V, V), generate


def _fma_tile(name, skip):
    @intrinsic
    def fma_tile(typing, x, w, sums):
        streams, gates, group = x.count, w.count, sums.count // x.count
        first = skip(group, gates)

        def generate(context, builder, signature, arguments):
            xs, ws, zs = (cgutils.unpack_tuple(builder, argument) for argument in arguments)
            for m in range(streams):
                for g in range(gates):
                    n = m * group + first + g
                    zs[n] = _fma(builder, xs[m], ws[g], zs[n])
            return context.make_tuple(builder, signature.return_type, zs)

        return sums(x, w, sums), generate

    return fma_tile


fma_first = _fma_tile("first", lambda group, gates: 0)
fma_last = _fma_tile("last", lambda group, gates: group - gates)


@intrinsic
def zeros(typing, vectors):
    """A tuple of as many zero vectors as `vectors` has."""

    def generate(context, builder, signature, arguments):
        zero = ir.Constant(F32S, [0.0] * LANES)
        return context.make_tuple(builder, vectors, [zero] * vectors.count)

    return vectors(vectors), generate


@intrinsic
def add_all(typing, x, y):
    """x[g] + y[g] for two tuples of vectors."""

    def generate(context, builder, signature, arguments):
        xs, ys = (cgutils.unpack_tuple(builder, argument) for argument in arguments)
        sums = [builder.fadd(x, y) for x, y in zip(xs, ys, strict=True)]
        return context.make_tuple(builder, signature.return_type, sums)

    return x(x, y), generate


@intrinsic
def for_each(typing, vectors, streams):
    """The tuple `vectors`, once for each of the tuple `streams`."""
    repeated = types.UniTuple(V, vectors.count * streams.count)

    def generate(context, builder, signature, arguments):
        each = cgutils.unpack_tuple(builder, arguments[0])
        return context.make_tuple(builder, repeated, list(each) * streams.count)

    return repeated(vectors, streams), generate


@intrinsic
def splat(typing, value):
    """The vector whose lanes all are one float32."""

    def generate(context, builder, signature, arguments):
        return _splat(builder, arguments[0])

    return V(types.float32), generate


@intrinsic
def limit(typing, x, most):
    """x held within -most .. most; NaN stays NaN."""

    def generate(context, builder, signature, arguments):
        # "x if x < most" would turn NaN into a limit; "most if x > most" keeps it
        x, most = arguments
        least = builder.fneg(most)
        x = builder.select(builder.fcmp_ordered(">", x, most), most, x)
        return builder.select(builder.fcmp_ordered("<", x, least), least, x)

    return V(V, V), generate


@intrinsic
def absolute(typing, x):
    """|x|."""

    def generate(context, builder, signature, arguments):
        mask = ir.Constant(I32S, [0x7FFFFFFF] * LANES)
        return builder.bitcast(builder.and_(builder.bitcast(arguments[0], I32S), mask), F32S)

    return V(V), generate


@intrinsic
def select_positive(typing, x, yes, no):
    """yes where x >= 0, else no; no where x is NaN."""

    def generate(context, builder, signature, arguments):
        x, yes, no = arguments
        return builder.select(
            builder.fcmp_ordered(">=", x, ir.Constant(F32S, [0.0] * LANES)), yes, no
        )

    return V(V, V, V), generate


@intrinsic
def power_of_2(typing, n):
    """2^n for whole numbers n in -126 .. 127."""

    def generate(context, builder, signature, arguments):
        exponent = builder.add(builder.fptosi(arguments[0], I32S), ir.Constant(I32S, [127] * LANES))
        return builder.bitcast(builder.shl(exponent, ir.Constant(I32S, [23] * LANES)), F32S)

    return V(V), generate


def _operator(python, llvm_name):
    @intrinsic
    def operation(typing, x, y):
        def generate(context, builder, signature, arguments):
            return getattr(builder, llvm_name)(*arguments)

        return V(V, V), generate

    @overload(python)
    def implementation(x, y):
        if isinstance(x, Vector) and isinstance(y, Vector):
            return lambda x, y: operation(x, y)


for _python, _llvm in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_python, _llvm)


@intrinsic
def call(typing, function, arguments):
    """Call the `CFunction` at an address with a tuple of int64."""

    def generate(context, builder, signature, values):
        given = cgutils.unpack_tuple(builder, values[1])
        type_ = ir.FunctionType(ir.VoidType(), [I64] * len(given))
        builder.call(builder.inttoptr(values[0], type_.as_pointer()), given)
        return context.get_dummy_value()

    return types.void(types.int64, arguments), generate
