"""Every key of a TOML text has a place, and every value survives being written and read."""

from __future__ import annotations

import time
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmvae.foundations.errors import ConfigError
from mmvae.foundations.toml import (
    dotted,
    dumps,
    flatten,
    literal,
    parse,
    parse_override,
    places_of,
    plain,
    statements,
)

TRICKY = '''\
# [not.a.table]
name = """
[nor.this]
size = 1
"""

[data]              # 7
list = [            # 8
  [1, 2],
  ["]", "# no comment"],
]
a.b = 2             # 12
"odd key" = 'x'     # 13
inline = { p = 1, q = { r = 2 } }  # 14
empty = {}          # 15
[[layer]]           # 16
size = 3            # 17
[[layer.part]]      # 18
x = 1               # 19
[[layer]]           # 20
size = 4            # 21
[layer.table]       # 22
y = 2               # 23
'''


def test_each_key_has_the_line_it_is_written_in() -> None:
    lines = {dotted(path): line for line, path in statements(TRICKY)}
    assert lines == {
        "name": 2,
        "data": 7,
        "data.list": 8,
        "data.a.b": 12,
        'data."odd key"': 13,
        "data.inline.p": 14,
        "data.inline.q.r": 14,
        "data.empty": 15,
        "layer[0]": 16,
        "layer[0].size": 17,
        "layer[0].part[0]": 18,
        "layer[0].part[0].x": 19,
        "layer[1]": 20,
        "layer[1].size": 21,
        "layer[1].table": 22,
        "layer[1].table.y": 23,
    }


def test_every_value_of_a_text_has_a_place() -> None:
    places = places_of(TRICKY, "f.toml")
    assert set(flatten(parse(TRICKY, "f.toml"))) - {("layer",)} <= set(places)
    assert places[("data", "a")] == "f.toml:12", "tables that no header opens have one too"


def test_windows_line_ends_count_once() -> None:
    assert places_of("a = 1\r\nb = [\r\n1]\r\nc = 2\r\n", "f")[("c",)] == "f:4"


def test_a_list_of_very_many_lines_takes_bounded_time() -> None:
    text = "a = 1\nx = [\n" + "[1],\n" * 20_000 + "]\nb = 2\n"
    began = time.process_time()
    assert list(statements(text))[0] == (1, ("a",))
    assert time.process_time() - began < 20
    assert parse(text, "f")["b"] == 2
    short = "x = [\n" + "[1],\n" * 500 + "]\nb = 2\n"
    assert list(statements(short))[-1] == (503, ("b",))


def test_a_long_list_does_not_take_long() -> None:
    text = "a = [\n" + "1,\n" * 20_000 + "]\nb = 1\n"
    begin = time.perf_counter()
    assert places_of(text, "f")[("b",)] == "f:20003"
    assert time.perf_counter() - begin < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb 2\n", "f:2: not valid TOML: Expected '='.*: b 2"),
        ("a = [1,\n2\n", "f:2: not valid TOML: .*at the end"),
        ("[modalities.x]\n[data]\n[modalities.x]\n", "f:3: modalities.x is written twice.*line 1"),
        ("[m]\na = 1\nb = 2\na = [\n3]\n", "f:4: m.a is written twice, first in line 2"),
        ("a = 1\n[a]\n", "f:2: a is written twice, first in line 1"),
        ("a.b = 1\n[a]\n", "f:2: not valid TOML: Cannot declare"),
        ("a = " + "[" * 70 + "]" * 70, "f: lists or tables are nested too deeply"),
        ("a = " + "[" * 9000, "f: lists or tables are nested too deeply"),
        (".".join("a" * 5000) + " = 1", "f: lists or tables are nested too deeply"),
        ("a = " + "9" * 5000, "f: not valid TOML: .*digits"),
    ],
)
def test_a_syntax_error_names_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text, "f")


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("train.epochs=5", ("train", "epochs"), 5),
        ("train.learning_rate = 1e-4", ("train", "learning_rate"), 1e-4),
        ("data.root=data/mnist", ("data", "root"), "data/mnist"),
        ("data.root='a b'", ("data", "root"), "a b"),
        ("train.compile=true", ("train", "compile"), True),
        ("train.compile=True", ("train", "compile"), "True"),
        ("a=b=c", ("a",), "b=c"),
        ("train.betas=[0.5, 0.9]", ("train", "betas"), [0.5, 0.9]),
        ('modalities."a b".x=0123', ("modalities", "a b", "x"), "0123"),
        ("a=2020-01-02", ("a",), "2020-01-02"),
        ("a={b = 1}", ("a",), {"b": 1}),
        ('a=""', ("a",), ""),
    ],
)
def test_an_override_is_read_as_toml_or_as_a_word(text, path, value) -> None:
    assert parse_override(text) == (path, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train.epochs", "expected key=value"),
        ("train.epochs=", "empty text"),
        ("=5", "'' is no key"),
        ("train..epochs=5", "'train..epochs' is no key"),
        ("train epochs=5", "'train epochs' is no key"),
        ("a=[1, 2", r"'\[1, 2' is no TOML value"),
        ('a="x', "no TOML value"),
        ("a=1\nb=2", "expected printable text"),
        ("a=\udcff", "expected printable text"),
    ],
)
def test_a_malformed_override_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_override(text)


words = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8)
values = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(words, values, max_size=4))
def test_what_is_written_is_read_back(table: dict[str, object]) -> None:
    text = dumps(table)
    assert parse(text, "f") == table
    assert set(flatten(table)) <= set(places_of(text, "f"))


@given(values)
def test_a_literal_is_toml(value: object) -> None:
    assert tomllib.loads(f"v = {literal(value, limit=10**6)}")["v"] == value


def test_literals_are_cut_and_none_is_left_out() -> None:
    assert literal("x" * 200) == '"' + "x" * 78 + "…"
    assert dumps({"a": None, "b": {"c": None, "d": 1}}) == "[b]\nd = 1\n"


def test_what_toml_cannot_hold_is_an_error() -> None:
    with pytest.raises(ConfigError, match="is a object"):
        plain({"a": object()})
