"""How far senders and sources have been read, by name, so that nothing is taken twice."""

import re
from collections.abc import Iterator, Mapping

SENDER = "sender "  # begins the marks of senders, whose names are whatever they say

# Of names that others choose so many are remembered, those that were heard of last.
MOST = {SENDER: 10_000, "topic": 100_000}
_TOPIC = re.compile("mqtt .* (?:id|kept) ")


def kind_of(name: str) -> str:
    """Among which of MOST a name is; "" for one of those that there are only a few of.

    >>> kind_of("sender plant"), kind_of("mqtt me id plant/7"), kind_of("mqtt me session")
    ('sender ', 'topic', '')
    """
    if name.startswith(SENDER):
        return SENDER
    return "topic" if _TOPIC.match(name) else ""


class Marks(Mapping[str, int]):
    """Numbers by name; of names that others choose only the newest.

    >>> marks = Marks()
    >>> marks.note({"sender plant": 7, "mqtt session": 1})
    >>> marks.note({"sender plant": 9})
    >>> marks["sender plant"], marks.get("sender other", 0)
    (9, 0)
    """

    def __init__(self) -> None:
        # Of each kind the one that was heard of the longest ago is the first.
        self._of: dict[str, dict[str, int]] = {kind: {} for kind in ("", *MOST)}

    def note(self, marks: Mapping[str, int]) -> None:
        """What counts from now on."""
        for name, number in marks.items():
            of_kind = self._of[kind_of(name)]
            of_kind.pop(name, None)
            of_kind[name] = number
        for kind, most in MOST.items():
            of_kind = self._of[kind]
            while len(of_kind) > most:
                del of_kind[next(iter(of_kind))]

    def __getitem__(self, name: str) -> int:
        return self._of[kind_of(name)][name]

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    def __iter__(self) -> Iterator[str]:
        for of_kind in self._of.values():
            yield from of_kind
