"""How far senders and sources have been read, by name, so that nothing is taken twice."""

from collections.abc import Iterator, Mapping

SENDER = "sender "  # begins the marks of senders, whose names are whatever they say
SENDERS = 10_000  # names of senders that are remembered


class Marks(Mapping[str, int]):
    """Numbers by name; of senders only the newest `SENDERS`.

    >>> marks = Marks()
    >>> marks.note({"sender plant": 7, "mqtt session": 1})
    >>> marks.note({"sender plant": 9})
    >>> marks["sender plant"], marks.get("sender other", 0)
    (9, 0)
    """

    def __init__(self) -> None:
        self._others: dict[str, int] = {}
        self._senders: dict[str, int] = {}  # the one that was heard of the longest ago is the first

    def note(self, marks: Mapping[str, int]) -> None:
        """What counts from now on."""
        for name, number in marks.items():
            if name.startswith(SENDER):
                self._senders.pop(name, None)
                self._senders[name] = number
            else:
                self._others[name] = number
        while len(self._senders) > SENDERS:
            del self._senders[next(iter(self._senders))]

    def __getitem__(self, name: str) -> int:
        return (self._senders if name.startswith(SENDER) else self._others)[name]

    def __len__(self) -> int:
        return len(self._others) + len(self._senders)

    def __iter__(self) -> Iterator[str]:
        yield from self._others
        yield from self._senders
