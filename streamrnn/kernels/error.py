"""Running mean absolute error of one-step predictions, and of persistence beside it."""

from streamrnn.kernels.channels import missing
from streamrnn.kernels.jit import jit

FIELDS = (
    "value",  # the last that was not missing
    "prediction",  # made in the row before, for this one
    "error",  # running mean of |value - prediction|, NaN until there is one
    "persistence",  # the same of |value - value before|
    "rows",  # errors so far
)
VALUE, PREDICTION, ERROR, PERSISTENCE, ROWS = range(len(FIELDS))

RATE = 1 / 200


@jit
def advance(states, rows, x, y):
    """x (N, 2): value, prediction made now; y (N, 2): ERROR, PERSISTENCE.  NaN: missing."""
    for n in range(rows.size):
        s, value, prediction = states[rows[n]], x[n, 0], x[n, 1]
        if not missing(value):
            if not (missing(s[VALUE]) or missing(s[PREDICTION])):
                if s[ROWS] == 0.0:
                    s[ERROR] = s[PERSISTENCE] = 0.0
                s[ROWS] += 1.0
                rate = max(1.0 / s[ROWS], RATE)
                s[ERROR] += rate * (abs(value - s[PREDICTION]) - s[ERROR])
                s[PERSISTENCE] += rate * (abs(value - s[VALUE]) - s[PERSISTENCE])
            s[VALUE] = value
        s[PREDICTION] = prediction
        y[n, 0], y[n, 1] = s[ERROR], s[PERSISTENCE]
