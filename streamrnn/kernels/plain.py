"""RNN, GRU and LSTM as the specification of ONNX has them, with everything that is rare.

Any activations with their constants, a clip of what goes into them, coupled input and forget gates,
peepholes, a projection of h: one plain loop over the units for all of these. What has none of it
runs in rnn.py, gru.py and lstm.py, several times as fast.

A layer's weights begin with a head of HEAD floats; matrices follow as they are, row after row. The
names and the order of the gates are PyTorch's, as there.
"""

import numpy as np

from streamrnn.kernels import gru, lstm, rnn
from streamrnn.kernels.blocks import Cell
from streamrnn.kernels.functions import apply
from streamrnn.kernels.jit import CFunction, inner
from streamrnn.kernels.linear import whole
from streamrnn.kernels.network import PAD
from streamrnn.kernels.simd import LANES, read, write

HEAD = 16
ZERO, ONE = np.float32(0), np.float32(1)
# the head: three functions with a and b, the clip (infinite: none), 1 for coupled gates, for the
# reset after the product, and for a projection; cells of an LSTM, which are more than its h then
F, G, H_, CLIP, COUPLED, AFTER, PROJECTED, CELLS = 0, 3, 6, 9, 10, 11, 12, 13


def _weights(p, *names):
    """The head, b_ih + b_hh, W_ih, W_hh and what else there is."""
    return [whole(p["head"], *(p[name] for name in names))]


def rnn_pack(p):
    return _weights(p | {"bias": p["bias_ih"] + p["bias_hh"]}, "bias", "weight_ih", "weight_hh")


def gru_pack(p):
    return _weights(p, "bias_ih", "bias_hh", "weight_ih", "weight_hh")


def lstm_pack(p):
    p = p | {"bias": p["bias_ih"] + p["bias_hh"]}
    return _weights(p, "bias", "weight_ih", "weight_hh", "weight_ch", "weight_hr")


@inner
def product(w, row, first, last, K, x):
    """Row `row` of w (rows, K) times x, columns first .. last - 1, in four sums."""
    w += 4 * row * K
    a0, a1, a2, a3 = ZERO, ZERO, ZERO, ZERO
    whole = last - (last - first) % 4
    for k in range(first, whole, 4):
        a0 += read(w, k) * read(x, k)
        a1 += read(w, k + 1) * read(x, k + 1)
        a2 += read(w, k + 2) * read(x, k + 2)
        a3 += read(w, k + 3) * read(x, k + 3)
    for k in range(whole, last):
        a0 += read(w, k) * read(x, k)
    return (a0 + a1) + (a2 + a3)


@inner
def unclipped(w, which, v):
    """A function of the head, of v."""
    function = np.int64(read(w, which))
    return apply(function, float(read(w, which + 1)), float(read(w, which + 2)), v)


@inner
def bent(w, which, a):
    """A function of the head, of the clipped a."""
    clip = float(read(w, CLIP))
    return unclipped(w, which, min(max(float(a), -clip), clip))


@inner
def room(count):
    """Bytes of `count` floats in whole vectors of the widest CPU."""
    return 4 * ((count + PAD - 1) & -PAD)


@inner
def fill(y, H):
    """Zeros after y (H,), up to a whole vector: what a state keeps is compared byte by byte."""
    for j in range(H, (H + LANES - 1) & -LANES):
        write(y, j, ZERO)


@inner
def rnn_row(w, first, last, K, H, x, h, y):
    bias = w + 4 * HEAD
    ih = bias + room(H)
    hh = ih + room(H * K)
    for j in range(H):
        a = read(bias, j) + product(ih, j, first, last, K, x) + product(hh, j, 0, H, H, h)
        write(y, j, np.float32(bent(w, F, a)))
    fill(y, H)


@inner
def gru_row(w, first, last, K, H, x, h, work, d, y):
    """work (2, d): r h, or r alone with the reset after the product, and z."""
    b_ih = w + 4 * HEAD
    b_hh = b_ih + room(3 * H)
    ih = b_hh + room(3 * H)
    hh = ih + room(3 * H * K)
    after = read(w, AFTER) != 0
    for j in range(2 * H):
        a = read(b_ih, j) + read(b_hh, j)
        a += product(ih, j, first, last, K, x) + product(hh, j, 0, H, H, h)
        gate = np.float32(bent(w, F, a))
        if j < H:
            write(work, j, gate if after else gate * read(h, j))
        else:
            write(work, d + j - H, gate)
    for i in range(H):
        j = 2 * H + i
        a = read(b_ih, j) + product(ih, j, first, last, K, x)
        if after:
            a += read(work, i) * (product(hh, j, 0, H, H, h) + read(b_hh, j))
        else:
            a += product(hh, j, 0, H, H, work) + read(b_hh, j)
        n, z = np.float32(bent(w, G, a)), read(work, d + i)
        write(y, i, (ONE - z) * n + z * read(h, i))
    fill(y, H)


@inner
def lstm_row(w, first, last, K, P, x, h, c, y):
    """h and y (P,), c (cells,); P is the number of cells but after a projection."""
    H = np.int64(read(w, CELLS))
    bias = w + 4 * HEAD
    ih = bias + room(4 * H)
    hh = ih + room(4 * H * K)
    ch = hh + room(4 * H * P)
    hr = ch + room(3 * H)
    projected, coupled = read(w, PROJECTED) != 0, read(w, COUPLED) != 0
    if projected:
        for i in range(P):
            write(y, i, ZERO)
    for j in range(H):
        old = read(c, j)
        a_i = read(bias, j) + product(ih, j, first, last, K, x) + product(hh, j, 0, P, P, h)
        i = bent(w, F, a_i + read(ch, j) * old)
        j_f, j_g, j_o = H + j, 2 * H + j, 3 * H + j
        a_f = read(bias, j_f) + product(ih, j_f, first, last, K, x) + product(hh, j_f, 0, P, P, h)
        f = 1.0 - i if coupled else bent(w, F, a_f + read(ch, H + j) * old)
        a_g = read(bias, j_g) + product(ih, j_g, first, last, K, x) + product(hh, j_g, 0, P, P, h)
        new = np.float32(f * old + i * bent(w, G, a_g))
        write(c, j, new)
        a_o = read(bias, j_o) + product(ih, j_o, first, last, K, x) + product(hh, j_o, 0, P, P, h)
        o = bent(w, F, a_o + read(ch, 2 * H + j) * new)
        m = np.float32(o * unclipped(w, H_, float(new)))  # as in ONNX Runtime, c is not clipped
        if not projected:
            write(y, j, m)
            continue
        for n in range(P):
            write(y, n, read(y, n) + read(hr, n * H + j) * m)
    fill(y, P)


@CFunction
def rnn_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    for _ in range(begin, end):
        rnn_row(w, first, last, K, H, x, h, y)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def rnn_tile(w, K, H, S, x, dx, h, c, y, d):
    for s in range(S):
        rnn_row(w, 0, K, K, H, x + 4 * s * dx, h + 4 * s * d, y + 4 * s * d)


@CFunction
def gru_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    for _ in range(begin, end):
        gru_row(w, first, last, K, H, x, h, c, d, y)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def gru_tile(w, K, H, S, x, dx, h, c, y, d):
    for s in range(S):
        o = 4 * s * d
        gru_row(w, 0, K, K, H, x + 4 * s * dx, h + o, c + 2 * o, d, y + o)


@CFunction
def lstm_steps(w, first, last, K, H, begin, end, x, dx, h, c, y, d):
    for _ in range(begin, end):
        lstm_row(w, first, last, K, H, x, h, c, y)
        x, h, y = x + 4 * dx, y, y + 4 * d


@CFunction
def lstm_tile(w, K, H, S, x, dx, h, c, y, d):
    cells = room(np.int64(read(w, CELLS)))
    for s in range(S):
        lstm_row(w, 0, K, K, H, x + 4 * s * dx, h + 4 * s * d, c + s * cells, y + 4 * s * d)


RNN = Cell(1, {"h": 1}, 0, rnn.shapes, rnn_pack, rnn_steps, rnn_tile)
GRU = Cell(3, {"h": 1}, 2, gru.shapes, gru_pack, gru_steps, gru_tile)
LSTM = Cell(4, {"h": 1, "c": 1}, 0, lstm.peephole_shapes, lstm_pack, lstm_steps, lstm_tile)
