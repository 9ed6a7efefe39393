"""Slow, obvious second implementations of what streamrnn/text.py computes, and of the trigram."""

import math
from collections import defaultdict

import numpy as np

from tests import naive


def read(model, ids, other):
    """What a Reader of `model` gives for x `ids` (T,), in float64: Y (T, 12)."""
    V = model.input_size
    legal = [x in range(V) for x in ids]
    tokens = [x if ok or math.isnan(x) else other for x, ok in zip(ids, legal, strict=True)]
    log_p = np.full(V, -math.log2(V))
    bits, scored, Y = math.nan, 0, []
    for token, logits in zip(tokens, naive.run(model, tokens), strict=True):
        surprise = math.nan
        if not math.isnan(token):
            surprise = -log_p[int(token)]
            scored += 1
            # the mean of all tokens at first, then 0.999 old + 0.001 new
            bits = surprise if scored == 1 else bits + (surprise - bits) / min(scored, 1000)
        log_p = np.log2(np.exp(logits) / np.exp(logits).sum())
        best = np.argsort(-log_p, kind="stable")[:5]
        none = [math.nan] * (5 - len(best))
        Y.append([surprise, bits, *best, *none, *2 ** log_p[best], *none])
    return np.array(Y)


def trigram_bits(training, texts, size):
    """The mean bits of each character of `texts` after its first two, counted in dictionaries."""
    counts = defaultdict(lambda: defaultdict(int))  # context -> character after it -> how often
    for order in (1, 2, 3):
        for t in range(len(training) - order + 1):
            *context, character = training[t : t + order]
            counts[tuple(context)][character] += 1

    def p(character, context):
        shorter = p(character, context[1:]) if context else 1 / size
        if context not in counts:
            return shorter
        after = counts[context]
        n, u = sum(after.values()), len(after)
        return n / (n + u) * after.get(character, 0) / n + u / (n + u) * shorter

    bits = [-math.log2(p(t[i], (t[i - 2], t[i - 1]))) for t in texts for i in range(2, len(t))]
    return sum(bits) / len(bits)
