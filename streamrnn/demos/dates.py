"""Dates as people write them in three languages, and as ISO 8601 does."""

import datetime
import random
import zlib

MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
}
DAYS = {
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
}
WAYS = {
    "en": (
        "{month} {d}, {y}",
        "{day}, {month} {d}, {y}",
        "{month} {nth}, {y}",
        "the {nth} of {month} {y}",
        "{mon} {d}, {y}",
        "{d} {month} {y}",
        "{m}/{d}/{y}",
        "{m:02}/{d:02}/{y}",
    ),
    "de": (
        "{d}. {month} {y}",
        "{day}, {d}. {month} {y}",
        "{day}, den {d}. {month} {y}",
        "am {d}. {month} {y}",
        "{d}. {mon} {y}",
        "{d}.{m}.{y}",
        "{d:02}.{m:02}.{y}",
    ),
    "fr": (
        "{first} {month} {y}",
        "le {first} {month} {y}",
        "{day} {first} {month} {y}",
        "le {day} {first} {month} {y}",
        "{d}-{m}-{y}",
        "{d:02}-{m:02}-{y}",
    ),
}
BEGIN, END = datetime.date(1950, 1, 1), datetime.date(2050, 1, 1)
# All that `written` can write.
ALPHABET = tuple(sorted({*"".join([*MONTHS.values(), *DAYS.values()]), *"0123456789 ,./-thndstof"}))


def held_out(date: datetime.date) -> bool:
    """Whether this date, however written, is kept from training: one in ten is."""
    return zlib.crc32(date.isoformat().encode()) % 10 == 0


def dates(*, held: bool) -> list[datetime.date]:
    """All held-out dates from BEGIN to END, or all others."""
    count = (END - BEGIN).days
    every = (BEGIN + datetime.timedelta(days=n) for n in range(count))
    return [date for date in every if held_out(date) == held]


def written(date: datetime.date, generator: random.Random) -> str:
    """The date in one of the WAYS."""
    language = generator.choice(sorted(WAYS))
    month = MONTHS[language].split()[date.month - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(date.day % 10 if date.day // 10 != 1 else 0, "th")
    return generator.choice(WAYS[language]).format(
        d=date.day,
        m=date.month,
        y=date.year,
        month=month,
        mon=month[:3],
        day=DAYS[language].split()[date.weekday()],
        nth=f"{date.day}{ending}",
        first="1er" if date.day == 1 else str(date.day),
    )
