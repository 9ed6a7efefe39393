"""Recursive least squares with forgetting, for several targets that share their inputs.

Minimises sum_t forgetting^(now - t) (z_t - w'f_t)^2 for every target z at once: the gain k depends
on the inputs f alone, so the covariance P is kept once, and each target keeps its weights w.

k = P f / (forgetting + f'P f)      P <- (P - k f'P) / forgetting      w <- w + k (z - w'f)

Haykin, Adaptive Filter Theory, ch. 10.  A target that comes later needs the k and f of its row.
"""

from streamrnn.kernels.jit import jit


@jit
def gain(P, f, forgetting, trace_limit, k):
    """The gain k (d,) for inputs f (d,); P (d, d), symmetric, is advanced.

    Inputs that stay the same for long would let P grow in the directions they leave out, by
    1 / forgetting a step without end: its trace is kept within trace_limit.
    Returns False, P unchanged, where rounding has left P of no use: the caller starts it anew.
    """
    d = f.size
    for j in range(d):
        k[j] = 0.0
    for i in range(d):
        for j in range(d):
            k[j] += f[i] * P[i, j]  # P is symmetric: by rows, so that the inner axis is contiguous
    uncertainty = variance = square = 0.0
    for i in range(d):
        uncertainty += f[i] * k[i]
        variance += P[i, i]
        square += k[i] * k[i]
    known = 1.0 / (forgetting + uncertainty)
    trace = variance - known * square
    if not (uncertainty >= 0.0 and trace > 0.0):
        return False
    grow = min(1.0 / forgetting, trace_limit / trace)
    for i in range(d):
        for j in range(d):
            # k_i k_j, not k_j scaled first: the same bits above and below the diagonal
            P[i, j] = grow * (P[i, j] - known * (k[i] * k[j]))
    for j in range(d):
        k[j] *= known
    return True


@jit
def restart(P, variance, k):
    """P (d, d) of weights about which nothing is known but that they are of this variance."""
    for i in range(k.size):
        for j in range(k.size):
            P[i, j] = variance if i == j else 0.0
        k[i] = 0.0


@jit
def predict(W, F, z):
    """z_h = sum_i W_ih F_ih: target h (H,) from weights and inputs of its own; W, F (d, H)."""
    for h in range(z.size):
        z[h] = 0.0
    for i in range(W.shape[0]):
        for h in range(z.size):
            z[h] += W[i, h] * F[i, h]


@jit
def read(W, f, z):
    """z_h = sum_i W_ih f_i: all targets from the same inputs f (d,)."""
    for h in range(z.size):
        z[h] = 0.0
    for i in range(W.shape[0]):
        for h in range(z.size):
            z[h] += W[i, h] * f[i]


@jit
def learn(W, K, error):
    """w_h <- w_h + k_h error_h, for the gain K[:, h] of the inputs that error_h (H,) belongs to."""
    for i in range(W.shape[0]):
        for h in range(error.size):
            W[i, h] += K[i, h] * error[h]
