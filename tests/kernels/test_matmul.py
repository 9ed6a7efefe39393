"""Products of matrices of all shapes, between canaries: they work on addresses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamrnn.kernels.training import matmul

SIZES = st.integers(1, 140)
WHOLE = st.integers(1, 9).map(lambda n: 16 * n)
GUARD = 64


def guarded(*shape):
    """An array of ones, and the whole that it lies in, with canaries on both sides."""
    whole = np.full(int(np.prod(shape)) + 2 * GUARD, 12345, np.float32)
    inner = whole[GUARD:-GUARD].reshape(shape)
    inner[:] = 1
    return inner, whole


def alive(whole):
    return bool((whole[:GUARD] == 12345).all() and (whole[-GUARD:] == 12345).all())


@settings(max_examples=60, deadline=None)
@given(SIZES, SIZES, WHOLE, st.booleans())
def test_a_product_equals_that_of_numpy(M, K, N, one_row):
    generator = np.random.default_rng(M + K + N)
    A, B = (generator.normal(size=shape).astype(np.float32) for shape in ((M, K + 3), (K, N)))
    start = generator.normal(size=(1 if one_row else M, N)).astype(np.float32)
    packed, C = guarded(K * N), guarded(M, N)
    matmul.pack(B, packed[0])
    matmul.product(matmul.multiply.address, A, K, packed[0], start, C[0])
    expected = start + A[:, :K].astype(float) @ B
    np.testing.assert_allclose(C[0], expected, rtol=0, atol=1e-4)  # float32, 140-term sums
    assert alive(packed[1]) and alive(C[1])


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), SIZES, WHOLE, st.integers(0, 5))
def test_a_transposed_product_equals_that_of_numpy(K, M, N, first):
    generator = np.random.default_rng(M + K + N)
    A = generator.normal(size=(K, first + M + 2)).astype(np.float32)
    B = generator.normal(size=(K, N)).astype(np.float32)
    scratch, C = guarded(matmul.DEPTH * matmul.WIDE), guarded(M, N)
    address = matmul.multiply_transposed.address
    matmul.product_transposed(address, A, first, B, C[0], scratch[0])
    expected = 1 + A[:, first : first + M].astype(float).T @ B
    np.testing.assert_allclose(C[0], expected, rtol=0, atol=2e-4)  # float32, 300-term sums
    assert alive(scratch[1]) and alive(C[1])


@pytest.mark.parametrize("K", [1, 127, 128, 129, 300])
def test_a_row_is_the_same_bits_in_whatever_tile_it_is_computed(K):
    generator = np.random.default_rng(K)
    A, B = (generator.normal(size=shape).astype(np.float32) for shape in ((13, K), (K, 80)))
    packed, start = np.empty(K * 80, np.float32), np.zeros((1, 80), np.float32)
    matmul.pack(B, packed)
    whole, one = np.empty((13, 80), np.float32), np.empty((1, 80), np.float32)
    matmul.product(matmul.multiply.address, A, K, packed, start, whole)
    for m in range(13):
        matmul.product(matmul.multiply.address, A[m : m + 1], K, packed, start, one)
        assert one.tobytes() == whole[m].tobytes()
