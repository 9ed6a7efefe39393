"""Checks plain data against msgspec structs; a problem names its place and what is allowed there.

msgspec stops at the first problem and does not say what else a key may be called, which is what a
person with a wrong configuration file needs. The structs stay the one definition: descriptions in
their `Meta` make the reference in the documentation.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from msgspec import NODEFAULT, Meta, inspect

Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1)]
Above0 = Annotated[float, Meta(gt=0)]

SECRET = {"secret": True}  # Meta(extra=SECRET): what is wrong is said without what came

VARIABLE = re.compile(r"\$\{(?:file:([^}]+)|([A-Za-z_]\w*))\}")


_KINDS = {
    str: "a text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}


def problems(
    value: Any, of: inspect.Type, place: str = "", *, secret: bool = False
) -> Iterator[str]:
    """What is wrong with `value`, one line each: "place: expected this, got that"."""
    secret = secret or (isinstance(of, inspect.Metadata) and of.extra == SECRET)
    of = _bare(of)
    if isinstance(of, inspect.StructType) and isinstance(value, dict):
        yield from _table(value, of, place)
    elif isinstance(of, inspect.UnionType) and _tag(of) is not None:
        yield from _tagged(value, of, place)
    elif isinstance(of, inspect.VarTupleType) and isinstance(value, list):
        for n, item in enumerate(value):
            yield from problems(item, of.item_type, f"{place}[{n}]")
    elif isinstance(of, inspect.DictType) and isinstance(value, dict):
        for key, item in value.items():
            yield from problems(item, of.value_type, joined(place, key), secret=secret)
    elif not _fits(value, of):
        got = _KINDS.get(type(value), "a date or time") if secret else shown(value)
        yield f"{place}: expected {expected(of)}, got {got}"


def expanded(value: Any, folder: Path, place: str = "") -> tuple[Any, list[str]]:
    """`value` with ${NAME} and ${file:PATH} replaced in all texts, and what was not there.

    A file's last end of line does not count. Paths are from `folder`.
    """
    if isinstance(value, dict):
        parts = {k: expanded(v, folder, joined(place, k)) for k, v in value.items()}
        return {k: v for k, (v, _) in parts.items()}, [e for _, es in parts.values() for e in es]
    if isinstance(value, list):
        items = [expanded(v, folder, f"{place}[{n}]") for n, v in enumerate(value)]
        return [v for v, _ in items], [e for _, es in items for e in es]
    if not isinstance(value, str):
        return value, []
    errors = []

    def replaced(match: re.Match[str]) -> str:
        file, name = match.groups()
        try:
            if file is None:
                return os.environ[name]
            return (folder / file).read_text(encoding="utf-8").removesuffix("\n")
        except KeyError:
            errors.append(f"{place}: the environment has no variable {name}")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            errors.append(f"{place}: cannot read {folder / file}: {why}")
        return ""

    return VARIABLE.sub(replaced, value), errors


def expected(of: inspect.Type) -> str:
    """What a person should write there."""
    of = _bare(of)
    match of:
        case inspect.StrType():
            return "a text that is not empty" if of.min_length else "a text"
        case inspect.IntType():
            return f"a whole number{_range(of)}"
        case inspect.FloatType():
            return f"a number{_range(of)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.VarTupleType(item_type=inspect.StrType()):
            return "a list of texts"
        case inspect.DictType(value_type=inspect.StrType()):
            return "a table of texts"
        case inspect.VarTupleType():
            return f"a list, each {expected(of.item_type)}"
        case inspect.DictType():
            return f"a table, each value {expected(of.value_type)}"
        case inspect.LiteralType():
            return either(json.dumps(v) for v in of.values)
        case inspect.UnionType():
            return either(expected(t) for t in of.types)
    return "a table"


def either(options: Any) -> str:
    """a, b or c"""
    *most, last = options
    return f"{', '.join(most)} or {last}" if most else str(last)


def shown(value: Any) -> str:
    """A value as its file would show it, cut to a line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except TypeError:  # TOML has dates
        text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _table(value: dict[str, Any], of: inspect.StructType, place: str) -> Iterator[str]:
    fields = {field.encode_name: field for field in of.fields}
    for key in value:
        if key in fields:
            yield from problems(value[key], fields[key].type, joined(place, key))
        elif key != of.tag_field:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            known = ", ".join([of.tag_field, *fields] if of.tag_field else fields)
            yield f"{joined(place, key)}: unknown key; {hint}allowed are {known}"
    for key, field in fields.items():
        if key not in value and field.default is NODEFAULT and field.default_factory is NODEFAULT:
            yield f"{joined(place, key)}: missing; expected {expected(field.type)}"


def _tagged(value: Any, of: inspect.UnionType, place: str) -> Iterator[str]:
    """One of several tables, told apart by a key."""
    field = _tag(of)
    assert field is not None
    tables = {t.tag: t for t in of.types if isinstance(t, inspect.StructType)}
    tag = value.get(field) if isinstance(value, dict) else None
    kinds = either(json.dumps(kind) for kind in tables)
    if not isinstance(value, dict):
        yield f"{place}: expected a table, got {shown(value)}"
    elif field not in value:
        yield f"{joined(place, field)}: missing; expected {kinds}"
    elif not isinstance(tag, str) or tag not in tables:
        yield f"{joined(place, field)}: expected {kinds}, got {shown(tag)}"
    else:
        yield from _table(value, tables[tag], place)


def _fits(value: Any, of: inspect.Type) -> bool:
    match of:
        case inspect.StrType():
            return isinstance(value, str) and len(value) >= (of.min_length or 0)
        case inspect.IntType():
            return type(value) is int and _inside(value, of)
        case inspect.FloatType():
            return type(value) in (int, float) and _inside(value, of)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.LiteralType():
            return value in of.values
        case inspect.UnionType():
            return any(not list(problems(value, t)) for t in of.types)
    return False


def _inside(value: float, of: inspect.IntType | inspect.FloatType) -> bool:
    return (
        (of.ge is None or value >= of.ge)
        and (of.gt is None or value > of.gt)
        and (of.le is None or value <= of.le)
    )


def _range(of: inspect.IntType | inspect.FloatType) -> str:
    if of.ge is not None and of.le is not None:
        return f" from {of.ge} to {of.le}"
    if of.gt is not None:
        return f" above {of.gt}"
    return f" of at least {of.ge}" if of.ge is not None else ""


def _bare(of: inspect.Type) -> inspect.Type:
    """A type without its description, and without None, which TOML cannot write."""
    if isinstance(of, inspect.Metadata):
        return _bare(of.type)
    if isinstance(of, inspect.UnionType):
        types = tuple(t for t in map(_bare, of.types) if not isinstance(t, inspect.NoneType))
        return types[0] if len(types) == 1 else inspect.UnionType(types)
    return of


def _tag(of: inspect.UnionType) -> str | None:
    for of_type in of.types:
        if isinstance(of_type, inspect.StructType):
            return of_type.tag_field
    return None


def joined(place: str, key: str) -> str:
    shown_key = key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
    return f"{place}.{shown_key}" if place else shown_key
