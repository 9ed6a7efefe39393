"""docs/serve.md is true. Its reference is written by `python -m tests.server.test_reference`."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
from msgspec import inspect
from streamrnn_server import config, protocol, rings, schema
from streamrnn_server.access import TOKEN_LEAST
from streamrnn_server.app import Settings
from streamrnn_server.build import build, server_settings
from streamrnn_server.config_sinks import AnySink
from streamrnn_server.config_sources import TopicTable
from streamrnn_server.frames import FRAME_BYTES
from streamrnn_server.hub import STALL_S
from streamrnn_server.ingest import TOLD

import streamrnn as srnn

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
BEGIN = "from server/streamrnn_server/config.py -->\n"
END = "<!-- end of reference -->"


def default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is None or value == () or value == "":
        return ""
    return f"`{schema.shown(value)}`"


def meaning(field: inspect.Field) -> str:
    of = field.type
    assert isinstance(of, inspect.Metadata) and of.extra_json_schema, f"describe {field.name}"
    return str(of.extra_json_schema["description"])


def table(of: type[msgspec.Struct]) -> list[str]:
    info = inspect.type_info(of)
    assert isinstance(info, inspect.StructType)
    rows = [
        f"| `{field.name}` | {schema.expected(field.type)} | {default(field)} | {meaning(field)} |"
        for field in info.fields
    ]
    return ["| key | write | default | |", "| --- | --- | --- | --- |", *rows, ""]


def reference() -> str:
    lines = ["", "**`[server]`**", "", *table(config.ServerTable)]
    lines += ["**`[limits]`**", "", *table(config.LimitsTable)]
    lines += [f"**`[journal]`**: {config.JournalTable.__doc__}", "", *table(config.JournalTable)]
    lines += [
        "**`[[streams]]`**: exactly one of detect, forecast, model, text, step says what runs",
        "",
        *table(config.StreamsTable),
        "each of `outputs`:",
        "",
        *table(config.OutputTable),
    ]
    for source in config.SourceTable.__args__:
        kind = source.__struct_config__.tag
        lines += [f'**`[[sources]]`, `kind = "{kind}"`**: {source.__doc__}', "", *table(source)]
    lines += ["each of `topics`:", "", *table(TopicTable)]
    for sink in AnySink.__args__:
        kind = sink.__struct_config__.tag
        lines += [f'**`[[sinks]]`, `kind = "{kind}"`**: {sink.__doc__}', "", *table(sink)]
    return "\n".join(lines) + "\n"


def test_the_reference_is_what_the_configuration_takes():
    text = PAGE.read_text(encoding="utf-8")
    assert text[text.index(BEGIN) + len(BEGIN) : text.index(END)] == reference()


def test_the_example_is_a_configuration(tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    example = text[text.index("```toml\n") + 8 :]
    example = example[: example.index("```")]
    assert set(tomllib.loads(example)) <= {"server", "limits", "streams", "sources"}
    srnn.save(srnn.GRU(2, 4, 2), tmp_path / "valve.safetensors")
    (tmp_path / "plant.csv").write_text("t,temp,load\n1,20.5,3\n")
    (tmp_path / "plant.toml").write_text(example, encoding="utf-8")
    build(tmp_path / "plant.toml")


def test_the_numbers_on_the_page_are_those_of_the_code():
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for claim in (
        f"acknowledges every {protocol.ACK_EVERY} binary messages. At {protocol.WINDOW} unack",
        f"nothing for {STALL_S:g} s although {protocol.ACK_EVERY} messages are due is closed with "
        f"code {protocol.CLOSE_STALLED}",
        f"A wrong token closes the WebSocket with code {protocol.CLOSE_TOKEN}",
        f"is closed with code {protocol.CLOSE_FULL} and the name of the limit",
        f"at least {TOKEN_LEAST} characters",
        f"at least {rings.LEAST} and at most {rings.MOST} samples",
        f"{protocol.WINDOW} messages of about {FRAME_BYTES >> 10} kB",
        f"at most {TOLD} refused ones",
    ):
        assert claim in text


def test_the_settings_defaults_are_those_of_the_file():
    empty = msgspec.convert({"streams": []}, config.Config)
    assert server_settings(empty) == Settings()


if __name__ == "__main__":
    page = PAGE.read_text(encoding="utf-8")
    begin = page.index(BEGIN) + len(BEGIN)
    PAGE.write_text(page[:begin] + reference() + page[page.index(END) :], encoding="utf-8")
