"""What e^x asks of vectors beside simd.py: scaling by a power of 2, limits on one side, a sign."""

import numba
import numpy as np
from llvmlite import binding as llvm
from llvmlite import ir
from numba.core import cgutils

from streamrnn.kernels.jit import inner
from streamrnn.kernels.simd import F32S, I32, LANES, V, fma, intrinsic, power_of_2, splat

HALF, UNIT = np.float32(0.5), np.float32(1)
ROUND = np.float32(12582912.0)  # adding 1.5 * 2^23 rounds to a whole number
GENERIC = numba.config.CPU_NAME == "generic"  # type: ignore[attr-defined]
# AVX-512 has x 2^n as one instruction
SCALES = LANES == 16 and not GENERIC and bool(llvm.get_host_cpu_features().get("avx512f"))


@intrinsic
def _scalef(typing, x, n):
    def generate(context, builder, signature, arguments):
        x, n = arguments
        I16 = ir.IntType(16)
        type_ = ir.FunctionType(F32S, [F32S, F32S, F32S, I16, I32])
        name = "llvm.x86.avx512.mask.scalef.ps.512"
        scalef = cgutils.get_or_insert_function(builder.module, type_, name)
        all_lanes, as_set = ir.Constant(I16, -1), ir.Constant(I32, 4)
        return builder.call(scalef, [x, n, x, all_lanes, as_set])

    return V(V, V), generate


@inner
def _halves(n):
    # since 2^n itself may be too small for a float32 while the product is not
    half = fma(n, splat(HALF), splat(ROUND)) - splat(ROUND)
    return power_of_2(half), power_of_2(n - half)


def _scale_in_halves(x, n):
    one, other = _halves(n)
    return x * one * other


def _scale_at_once(x, n):
    return _scalef(x, n)


def _power_in_halves(n):
    one, other = _halves(n)
    return one * other


def _power_at_once(n):
    return _scalef(splat(UNIT), n)


# x 2^n for x in 1/2 .. 2 and whole numbers n in -252 .. 0, rounded once: the same bits both ways
scale = inner(_scale_at_once if SCALES else _scale_in_halves)
# 2^n for whole numbers n in -252 .. 127, rounded once
power = inner(_power_at_once if SCALES else _power_in_halves)


@intrinsic
def at_most(typing, x, most):
    """x, or most where x is above it; NaN stays NaN."""

    def generate(context, builder, signature, arguments):
        x, most = arguments
        return builder.select(builder.fcmp_ordered(">", x, most), most, x)

    return V(V, V), generate


@intrinsic
def at_least(typing, x, least):
    """x, or least where x is below it; NaN stays NaN."""

    def generate(context, builder, signature, arguments):
        x, least = arguments
        return builder.select(builder.fcmp_ordered("<", x, least), least, x)

    return V(V, V), generate


@intrinsic
def known(typing, x, otherwise):
    """x, or `otherwise` where x is NaN."""

    def generate(context, builder, signature, arguments):
        x, otherwise = arguments
        return builder.select(builder.fcmp_ordered("ord", x, x), x, otherwise)

    return V(V, V), generate


@intrinsic
def negative(typing, x):
    """-x."""

    def generate(context, builder, signature, arguments):
        return builder.fneg(arguments[0])

    return V(V), generate
