"""What tokens need in place of products with one-hot vectors: rows of a table, gathered and added.

A token outside the vocabulary is no token: nothing is gathered for it, and nothing learned.
"""

from streamrnn.kernels.jit import jit


@jit
def gather(tokens, table, bias, z):
    """z[n] = bias + table[tokens[n]]: tokens (N,) int64, table (V, G), bias (G,), z (N, G)."""
    for n in range(tokens.size):
        token = tokens[n]
        if 0 <= token < table.shape[0]:
            for j in range(bias.size):
                z[n, j] = bias[j] + table[token, j]
        else:
            for j in range(bias.size):
                z[n, j] = bias[j]


@jit
def scatter(tokens, dz, dtable):
    """dtable[tokens[n]] += dz[n], n in order."""
    for n in range(tokens.size):
        token = tokens[n]
        if 0 <= token < dtable.shape[0]:
            for j in range(dz.shape[1]):
                dtable[token, j] += dz[n, j]


@jit
def add_rows(dz, total):
    """total (G,) += the sum over the rows of dz (N, G)."""
    for n in range(dz.shape[0]):
        for j in range(total.size):
            total[j] += dz[n, j]
