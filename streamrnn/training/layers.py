"""Layers of cells over a chunk of T steps of B streams, forward and backward: one class a cell.

A layer holds its parameters, packed for the products of one update. A `Tape` is what one thread's
part of the minibatch leaves behind for the way back. H units stand in D floats, padded with zeros
to whole vectors of the widest CPU, and so does each gate.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamrnn.kernels.network import padded
from streamrnn.kernels.training import gru, lru, lstm, matmul, rnn, tokens
from streamrnn.step import allocate

Array = NDArray[np.float32]
BLOCK = 1 << 16  # floats of z between products and recurrence: they stay in the second cache


def zeros(*shape: int) -> Array:
    """Float32 zeros that begin on a cache line."""
    return allocate(np.dtype(np.float32), int(np.prod(shape))).reshape(shape)


class Tape:
    """Buffers for up to T steps of B streams in one layer.

    z        (T, B, G): what x adds to the gates, then the gates, then the gradient of what it added
    states   (T + 1, B, ...) each, h first; [0] is before the first step
    dh       (T, B, D): the gradient of h[1:]
    """

    def __init__(self, layer: "Layer", T: int, B: int) -> None:
        self.z, self.dh = zeros(T, B, layer.G), zeros(T, B, layer.D)
        self.states = [zeros(T + 1, B, parts * layer.D) for parts in layer.STATE]
        self.h = self.states[0]
        self.work = [zeros(*shape) for shape in layer.work(T, B)]
        self.totals = [zeros(*shape) for shape in layer.totals(B)]
        self.d_ih = zeros(*((layer.K, layer.G) if layer.tokens else (layer.G, layer.width)))
        self.d_hh, self.d_bias = zeros(*layer.weight_hh.shape), zeros(layer.G)
        self.panel = zeros(matmul.DEPTH * matmul.WIDE)


class Layer:
    """The way in, z = x W^T + bias, which all cells share; what follows is a cell's own.

    k: the layer's number; K: inputs; H: units; tokens: x is the index of a one-hot vector
    """

    GATES = 1
    STATE: tuple[int, ...] = (1,)  # D floats each

    def __init__(self, k: int, K: int, H: int, tokens: bool) -> None:
        self.k, self.K, self.H, self.tokens = k, K, H, tokens
        self.D, self.width = padded(H), padded(K)
        self.G = self.GATES * self.D
        self.bias = zeros(1, self.G)
        self.weight_ih = zeros(*((K, self.G) if tokens else (self.G, self.width)))
        self.ih, self.ih_back = zeros(K * self.G), zeros(self.G * self.width)
        self.weight_hh = zeros(self.G, self.D)
        self.multiply = matmul.multiply.address
        self.multiply_transposed = matmul.multiply_transposed.address

    def work(self, T: int, B: int) -> list[tuple[int, ...]]:
        """Shapes of what the cell needs beyond z and its states."""
        return []

    def totals(self, B: int) -> list[tuple[int, ...]]:
        """Shapes of what is zero at first, on the way back, and then goes from step to step."""
        return []

    def blocks(self, tape: Tape, T: int) -> range:
        """The first steps of blocks of `blocks.step` steps."""
        return range(0, T, max(1, BLOCK // tape.z[0].size))

    def gates(self, array: Array) -> Array:
        """Padded (GATES D, columns) seen as its part that is not padding: (GATES, H, columns)."""
        return array.reshape(self.GATES, self.D, -1)[:, : self.H]

    def pack(self, p: Mapping[str, Array]) -> None:
        """Take this layer's parameters from p: name -> array, in PyTorch's shapes."""
        weight, bias = self.inputs(p)
        if self.tokens:
            table = self.weight_ih.reshape(self.K, self.GATES, self.D)
            table[:, :, : self.H] = weight.transpose(2, 0, 1)
        else:
            self.gates(self.weight_ih)[:, :, : self.K] = weight
            matmul.pack(self.weight_ih.T[: self.K], self.ih)
            if self.k > 0:
                matmul.pack(self.weight_ih, self.ih_back)
        if bias is not None:
            self.gates(self.bias)[:, :, 0] = bias
        self.pack_recurrence(p)

    def forward(self, tape: Tape, x: NDArray[Any], T: int) -> None:
        """x (T, B, width), or tokens (T, B) -> the states [1 : T + 1]."""
        blocks = self.blocks(tape, T)
        for begin in blocks:
            end = min(begin + blocks.step, T)
            z = tape.z[begin:end].reshape(-1, self.G)
            if self.tokens:
                tokens.gather(x[begin:end].reshape(-1), self.weight_ih, self.bias[0], z)
            else:
                rows = x[begin:end].reshape(-1, self.width)
                matmul.product(self.multiply, rows, self.K, self.ih, self.bias, z)
            self.recur(tape, begin, end)

    def backward(
        self, tape: Tape, x: NDArray[Any], T: int, dx: Array | None, g: Mapping[str, Array]
    ) -> None:
        """tape.dh[:T] -> dx (T, B, width), if asked for, and this layer's gradients, into g."""
        for array in (tape.d_ih, tape.d_hh, tape.d_bias, *tape.totals):
            array[:] = 0
        nothing, blocks = np.zeros((1, self.width), np.float32), self.blocks(tape, T)
        for begin in reversed(blocks):
            end = min(begin + blocks.step, T)
            self.recur_back(tape, begin, end, T)
            dz = tape.z[begin:end].reshape(-1, self.G)
            if dx is not None:
                into = dx[begin:end].reshape(-1, self.width)
                matmul.product(self.multiply, dz, self.G, self.ih_back, nothing, into)
            if self.tokens:
                tokens.scatter(x[begin:end].reshape(-1), dz, tape.d_ih)
            else:
                self.transposed(tape, dz, 0, x[begin:end].reshape(-1, self.width), tape.d_ih)
            tokens.add_rows(dz, tape.d_bias)
            self.add_gradients(tape, begin, end)
        if self.tokens:
            table = tape.d_ih.reshape(self.K, self.GATES, self.D)
            weight = table[:, :, : self.H].transpose(1, 2, 0)
        else:
            weight = self.gates(tape.d_ih)[:, :, : self.K]
        self.gradients(tape, weight, self.gates(tape.d_bias)[:, :, 0], g)

    def transposed(self, tape: Tape, A: Array, first: int, B: Array, C: Array) -> None:
        """C += A[:, first : first + len(C)]^T B."""
        matmul.product_transposed(self.multiply_transposed, A, first, B, C, tape.panel)

    # a cell's own; these suit one whose gates are sums over x and h

    def inputs(self, p: Mapping[str, Array]) -> tuple[Array, Array | None]:
        """W (GATES, H, K) and bias (GATES, H) of z."""
        k, shape = self.k, (self.GATES, self.H)
        weight = p[f"weight_ih_l{k}"].reshape(*shape, self.K)
        if f"bias_ih_l{k}" not in p:
            return weight, None
        return weight, (p[f"bias_ih_l{k}"] + p[f"bias_hh_l{k}"]).reshape(shape)

    def pack_recurrence(self, p: Mapping[str, Array]) -> None:
        """What `recur` and `recur_back` need."""
        weight = p[f"weight_hh_l{self.k}"].reshape(self.GATES, self.H, self.H)
        self.gates(self.weight_hh)[:, :, : self.H] = weight

    def recur(self, tape: Tape, begin: int, end: int) -> None:
        """tape.z -> tape.states, for steps begin .. end - 1."""
        raise NotImplementedError

    def recur_back(self, tape: Tape, begin: int, end: int, T: int) -> None:
        """tape.dh -> tape.z, for steps end - 1 .. begin of T."""
        raise NotImplementedError

    def add_gradients(self, tape: Tape, begin: int, end: int) -> None:
        """Add to what `gradients` reads: d_hh += dz^T h."""
        dz, h = tape.z[begin:end].reshape(-1, self.G), tape.h[begin:end].reshape(-1, self.D)
        self.transposed(tape, dz, 0, h, tape.d_hh)

    def gradients(self, tape: Tape, weight: Array, bias: Array, g: Mapping[str, Array]) -> None:
        """All gradients of the layer into g, given those of `inputs`."""
        k, H = self.k, self.H
        g[f"weight_ih_l{k}"].reshape(weight.shape)[:] = weight
        g[f"weight_hh_l{k}"].reshape(self.GATES, H, H)[:] = self.gates(tape.d_hh)[:, :, :H]
        if f"bias_ih_l{k}" in g:
            g[f"bias_ih_l{k}"][:] = g[f"bias_hh_l{k}"][:] = bias.reshape(-1)


class RNN(Layer):
    def __init__(self, k: int, K: int, H: int, tokens: bool, nonlinearity: str = "tanh") -> None:
        super().__init__(k, K, H, tokens)
        self.hh, self.hh_back = zeros(self.D * self.D), zeros(self.D * self.D)
        self.relu = nonlinearity == "relu"

    def pack_recurrence(self, p: Mapping[str, Array]) -> None:
        super().pack_recurrence(p)
        matmul.pack(self.weight_hh.T, self.hh)
        matmul.pack(self.weight_hh, self.hh_back)

    def recur(self, tape: Tape, begin: int, end: int) -> None:
        rnn.forward(self.multiply, tape.z[begin:end], tape.h[begin:], self.hh, self.relu)

    def recur_back(self, tape: Tape, begin: int, end: int, T: int) -> None:
        where = self.multiply, begin, end
        rnn.backward(*where, tape.z, tape.h, tape.dh, self.hh_back, self.relu)


class GRU(Layer):
    GATES = 3

    def __init__(self, k: int, K: int, H: int, tokens: bool, reset_after: bool = True) -> None:
        super().__init__(k, K, H, tokens)
        D = self.D
        self.rz, self.rz_back = zeros(2 * D * D), zeros(2 * D * D)
        self.n, self.n_back = zeros(D * D), zeros(D * D)
        self.bias_n, self.reset_after = zeros(D), reset_after

    def work(self, T: int, B: int) -> list[tuple[int, ...]]:
        return [(T, B, self.D), (B, self.D)]  # what gate n takes of h; gradient of r h

    def totals(self, B: int) -> list[tuple[int, ...]]:
        return [(self.D,)]  # gradient of b_hn

    def inputs(self, p: Mapping[str, Array]) -> tuple[Array, Array | None]:
        weight, bias = super().inputs(p)
        if bias is not None and self.reset_after:  # r multiplies b_hn as well
            bias[2] = p[f"bias_ih_l{self.k}"][2 * self.H :]
            self.bias_n[: self.H] = p[f"bias_hh_l{self.k}"][2 * self.H :]
        return weight, bias

    def pack_recurrence(self, p: Mapping[str, Array]) -> None:
        super().pack_recurrence(p)
        rz, n = self.weight_hh[: 2 * self.D], self.weight_hh[2 * self.D :]
        matmul.pack(rz.T, self.rz)
        matmul.pack(n.T, self.n)
        matmul.pack(rz, self.rz_back)
        matmul.pack(n, self.n_back)

    def recur(self, tape: Tape, begin: int, end: int) -> None:
        z, n_h, h = tape.z[begin:end], tape.work[0][begin:], tape.h[begin:]
        packed = self.rz, self.n, self.bias_n
        gru.forward(self.multiply, z, n_h, h, *packed, self.reset_after)

    def recur_back(self, tape: Tape, begin: int, end: int, T: int) -> None:
        n_h, dr_h = tape.work
        where, packed = (self.multiply, begin, end), (self.rz_back, self.n_back)
        gru.backward(*where, tape.z, n_h, tape.h, tape.dh, dr_h, *packed, self.reset_after)

    def add_gradients(self, tape: Tape, begin: int, end: int) -> None:
        D = self.D
        dz, h = tape.z[begin:end].reshape(-1, self.G), tape.h[begin:end].reshape(-1, D)
        n_h = tape.work[0][begin:end].reshape(-1, D)
        self.transposed(tape, dz, 0, h, tape.d_hh[: 2 * D])
        if self.reset_after:
            self.transposed(tape, n_h, 0, h, tape.d_hh[2 * D :])
            tokens.add_rows(n_h, tape.totals[0])
        else:
            self.transposed(tape, dz, 2 * D, n_h, tape.d_hh[2 * D :])

    def gradients(self, tape: Tape, weight: Array, bias: Array, g: Mapping[str, Array]) -> None:
        super().gradients(tape, weight, bias, g)
        if self.reset_after and f"bias_hh_l{self.k}" in g:
            g[f"bias_hh_l{self.k}"][2 * self.H :] = tape.totals[0][: self.H]


class LSTM(Layer):
    GATES = 4
    STATE = (1, 1)

    def __init__(self, k: int, K: int, H: int, tokens: bool, peepholes: bool = False) -> None:
        super().__init__(k, K, H, tokens)
        self.hh, self.hh_back = zeros(self.D * self.G), zeros(self.G * self.D)
        self.weight_ch, self.peepholes = zeros(3, self.D), peepholes

    def totals(self, B: int) -> list[tuple[int, ...]]:
        return [(B, self.D), (3, self.D)]  # gradients of c and of the peepholes

    def pack_recurrence(self, p: Mapping[str, Array]) -> None:
        super().pack_recurrence(p)
        matmul.pack(self.weight_hh.T, self.hh)
        matmul.pack(self.weight_hh, self.hh_back)
        if self.peepholes:
            self.weight_ch[:, : self.H] = p[f"weight_ch_l{self.k}"].reshape(3, self.H)

    def recur(self, tape: Tape, begin: int, end: int) -> None:
        h, c = tape.states
        z, packed = tape.z[begin:end], (self.hh, self.weight_ch)
        lstm.forward(self.multiply, z, h[begin:], c[begin:], *packed)

    def recur_back(self, tape: Tape, begin: int, end: int, T: int) -> None:
        where, c, dc = (self.multiply, begin, end), tape.states[1], tape.totals[0]
        lstm.backward(*where, tape.z, c, tape.dh, dc, self.hh_back, self.weight_ch)

    def add_gradients(self, tape: Tape, begin: int, end: int) -> None:
        super().add_gradients(tape, begin, end)
        if self.peepholes:
            lstm.peephole_gradient(tape.z[begin:end], tape.states[1][begin:], tape.totals[1])

    def gradients(self, tape: Tape, weight: Array, bias: Array, g: Mapping[str, Array]) -> None:
        super().gradients(tape, weight, bias, g)
        if self.peepholes:
            g[f"weight_ch_l{self.k}"].reshape(3, self.H)[:] = tape.totals[1][:, : self.H]


class LRU(Layer):
    """Its z has three columns: what x adds to the real and imaginary part of s, and to h."""

    GATES = 3
    STATE = (1, 2)

    def __init__(self, k: int, K: int, H: int, tokens: bool) -> None:
        super().__init__(k, K, H, tokens)
        D = self.D
        self.weight_hh = zeros(D, 2 * D)  # C: Re(C s) = [C_re, -C_im] [s_re, s_im]
        self.c, self.c_back = zeros(2 * D * D), zeros(2 * D * D)
        self.l = zeros(2, D)

    def totals(self, B: int) -> list[tuple[int, ...]]:
        return [(2, self.D)]  # the gradient of l

    def own(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """This layer's arrays by their names alone."""
        end = f"_l{self.k}"
        return {name.removesuffix(end): a for name, a in arrays.items() if name.endswith(end)}

    def inputs(self, p: Mapping[str, Array]) -> tuple[Array, Array | None]:
        p = self.own(p)
        self.gamma, self.B = np.exp(p["gamma_log"])[:, None], np.stack([p["B_re"], p["B_im"]])
        weight = np.concatenate([self.gamma * self.B, p["D"][None]])
        if "bias" not in p:
            return weight, None
        none = np.zeros_like(p["bias"])
        return weight, np.stack([none, none, p["bias"]])

    def pack_recurrence(self, p: Mapping[str, Array]) -> None:
        p, D, H = self.own(p), self.D, self.H
        nu, theta = np.exp(p["nu_log"]), 1j * np.exp(p["theta_log"])
        l = np.exp(theta - nu)
        self.l[:, :H] = l.real, l.imag
        self.d_nu, self.d_theta = -nu * l, theta * l  # of l, by the logarithms
        self.weight_hh[:H, :H], self.weight_hh[:H, D : D + H] = p["C_re"], -p["C_im"]
        matmul.pack(self.weight_hh.T, self.c)
        matmul.pack(self.weight_hh, self.c_back)

    def recur(self, tape: Tape, begin: int, end: int) -> None:
        h, s = tape.states
        lru.forward(self.multiply, tape.z[begin:end], h[begin:], s[begin:], self.l, self.c)

    def recur_back(self, tape: Tape, begin: int, end: int, T: int) -> None:
        where, dl = (self.multiply, begin, end, T), tape.totals[0]
        lru.backward(*where, tape.z, *tape.states, tape.dh, self.l, dl, self.c_back)

    def add_gradients(self, tape: Tape, begin: int, end: int) -> None:
        do = tape.z[begin:end].reshape(-1, self.G)
        s = tape.states[1][begin + 1 : end + 1].reshape(-1, 2 * self.D)
        self.transposed(tape, do, 2 * self.D, s, tape.d_hh)

    def gradients(self, tape: Tape, weight: Array, bias: Array, g: Mapping[str, Array]) -> None:
        g, D, H = self.own(g), self.D, self.H
        real, imaginary, direct = weight
        g["B_re"][:], g["B_im"][:], g["D"][:] = self.gamma * real, self.gamma * imaginary, direct
        g["gamma_log"][:] = (weight[:2] * self.gamma * self.B).sum((0, 2))
        g["C_re"][:], g["C_im"][:] = tape.d_hh[:H, :H], -tape.d_hh[:H, D : D + H]
        dl = tape.totals[0][:, :H]
        for name, slope in (("nu_log", self.d_nu), ("theta_log", self.d_theta)):
            g[name][:] = dl[0] * slope.real + dl[1] * slope.imag
        if "bias" in g:
            g["bias"][:] = bias[2]
