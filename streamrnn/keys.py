"""The keys of many samples, each name held once: what is known of a name is looked up once.

With 100 000 samples a second every look at each of their keys costs a hundredth of a core or more.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)


class Keys(Sequence[K], Generic[K]):
    """Sample n belongs to names[numbers[n]]; reads, prints and compares like a list of keys.

    names    different ones, each with a sample
    numbers  (N,) int64

    >>> keys = Keys.of(["pump", "fan", "pump"])
    >>> keys, keys.names, keys.numbers
    (['pump', 'fan', 'pump'], ['pump', 'fan'], array([0, 1, 0]))
    >>> keys.each({"pump": 7, "fan": 8}.__getitem__)
    array([7, 8, 7])
    """

    __slots__ = ("names", "numbers")

    def __init__(self, names: list[K], numbers: NDArray[np.int64]) -> None:
        self.names = names
        self.numbers = numbers

    @classmethod
    def of(cls, keys: Iterable[K]) -> "Keys[K]":
        """`keys` as Keys; themselves if they are."""
        if isinstance(keys, Keys):
            return keys
        keys = list(keys)
        number_of = {key: n for n, key in enumerate(dict.fromkeys(keys))}
        return cls(list(number_of), np.array([number_of[key] for key in keys], np.int64))

    @classmethod
    def joined(cls, parts: Sequence["Keys[K]"]) -> "Keys[K]":
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        number_of: dict[K, int] = {}
        numbers = []
        for part in parts:
            own = [number_of.setdefault(name, len(number_of)) for name in part.names]
            numbers.append(np.array(own, np.int64)[part.numbers])
        return cls(list(number_of), np.concatenate(numbers))

    def rows(self, chosen: NDArray[Any] | slice) -> "Keys[K]":
        """The keys of some samples, by a mask or where they are; names without any go."""
        numbers = self.numbers[chosen]
        present = np.zeros(len(self.names), np.bool)
        present[numbers] = True
        if present.all():
            return Keys(self.names, numbers)
        names = [name for name, there in zip(self.names, present.tolist(), strict=True) if there]
        return Keys(names, (np.cumsum(present) - 1)[numbers])

    def each(self, of: Callable[[K], int]) -> NDArray[np.int64]:
        """of(key) for every sample (N,), asked once for each name."""
        return np.array([of(name) for name in self.names], np.int64)[self.numbers]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many samples each name has (len(names),)."""
        return np.bincount(self.numbers, minlength=len(self.names))

    @property
    def last(self) -> NDArray[np.int64]:
        """The last sample of each name (len(names),)."""
        last = np.empty(len(self.names), np.int64)
        last[self.numbers] = np.arange(len(self.numbers))  # NumPy assigns in order
        return last

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[K]:
        names = self.names
        return (names[n] for n in self.numbers.tolist())

    @overload
    def __getitem__(self, n: int) -> K: ...
    @overload
    def __getitem__(self, n: slice) -> "Keys[K]": ...
    def __getitem__(self, n: int | slice) -> "K | Keys[K]":
        return self.rows(n) if isinstance(n, slice) else self.names[int(self.numbers[n])]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as of a list

    def __repr__(self) -> str:
        return repr(list(self))


def repeats(index: NDArray[Any]) -> NDArray[np.int64]:
    """How often each number came before in `index` (N,).

    >>> repeats(np.array([7, 8, 7]))
    array([0, 0, 1])
    """
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    counts = np.diff(np.r_[begins, len(index)])
    found = np.empty(len(index), np.int64)
    found[order] = np.arange(len(index)) - np.repeat(begins, counts)
    return found
