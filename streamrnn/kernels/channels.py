"""What is known of each channel of a stream: its level, its spread, the size of its changes.

They are running units: features are given in them, so that degrees and kilopascals are alike.
"""

from streamrnn.kernels.jit import inner

SLOW = 1 / 500  # rate of level, spread and step
OUTLIER = 8.0  # a size beyond this many times the running mean counts as this many
HUGE = 1e100  # a value beyond it counts as missing, so that nothing computed from values overflows
TINY = 1e-290
APART = 1e4  # sizes apart by this factor are not of one sensor in one unit
STRANGERS = 50.0  # changes in a row that far from the usual: a channel begins anew

# a row of channels
SEEN = 0  # rows in which it was not missing, since its units were last chosen
VALUE = 1  # the last of them; for the target, while it is missing, its forecast
CHANGE = 2  # from the value before; 0 where it is missing
LEVEL = 3  # running mean
SPREAD = 4  # running mean distance from it
STEP = 5  # running mean size of a change
STRANGE = 6  # changes in a row that were of quite another size
CHANNEL_SIZE = 7


@inner
def clip(x, limit):
    return min(max(x, -limit), limit)


@inner
def missing(x):
    return not abs(x) <= HUGE


@inner
def running_size(mean, size, n, rate):
    """Mean size (> 0) of changes or errors after the n-th of them; outliers don't carry it off.

    Geometric for the first 1 / rate, because then one spike of 1e30 is outvoted by what follows.
    The callers leave out sizes of zero: a value repeated, by a frozen or coarse sensor, does not
    tell how large a change is, and a unit that has faded to zero would have to grow back.
    """
    if mean == 0.0:
        return size
    if n * rate < 1.0:
        return mean ** (1.0 - 1.0 / n) * size ** (1.0 / n)
    return mean + rate * (min(size, OUTLIER * mean) - mean)


@inner
def observe(channel, x):
    """A channel takes the value x.  A repeated value moves neither level nor spread nor step."""
    channel[SEEN] += 1.0
    n = channel[SEEN]
    if n == 1.0:
        channel[VALUE] = channel[LEVEL] = x
        return
    channel[CHANGE] = x - channel[VALUE]
    channel[VALUE] = x
    size, distance = abs(channel[CHANGE]), x - channel[LEVEL]
    if size <= 1e-12 * abs(x):  # the last bits of a float are no change either
        return
    channel[STEP] = running_size(channel[STEP], size, n, SLOW)
    if distance != 0.0:
        channel[SPREAD] = running_size(channel[SPREAD], abs(distance), n, SLOW)
    channel[LEVEL] += max(1.0 / n, SLOW) * clip(distance, OUTLIER * channel[SPREAD])
    strange = not channel[STEP] / APART <= size <= channel[STEP] * APART
    channel[STRANGE] = channel[STRANGE] + 1.0 if strange else 0.0
    if channel[STRANGE] == STRANGERS or channel[SPREAD] > APART * channel[STEP]:
        # the units are of another age, or began with a spike: begin anew, from here
        channel[SEEN], channel[STRANGE] = 1.0, 0.0
        channel[LEVEL], channel[SPREAD], channel[STEP] = x, size, size
