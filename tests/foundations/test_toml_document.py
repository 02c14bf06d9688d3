"""A document knows its values, their places, and what to say if it cannot be read."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmvae.foundations.errors import ConfigError
from mmvae.foundations.toml_document import read

TEXT = "[train]\nepochs = 3\n\n[model]\nalpha = 1.0\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "experiment.toml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def test_a_file_keeps_its_text_and_places(path: Path) -> None:
    document = read(path)
    assert document.text == TEXT
    assert document.table == {"train": {"epochs": 3}, "model": {"alpha": 1.0}}
    assert document.place(("train", "epochs")) == f"{path}:2"
    assert document.place(("train", "epoch")) == f"{path}:1", "the table it would be in"
    assert document.place(("nothing",)) == str(path)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(TEXT.encode())))
    document = read("-")
    assert document.place(("model", "alpha")) == "<stdin>:5"


def test_a_mapping_is_made_plain() -> None:
    document = read({"a": np.int64(3), "b": Path("x") / "y", "c": (1, 2), "d": None})
    assert document.table == {"a": 3, "b": "x/y", "c": [1, 2], "d": None}
    assert document.place(("a",)) == "config"


@pytest.mark.parametrize("table", [{"a": ["\ud800"]}, {"\ud800": 1}, {"a": {"\udfff": {}}}])
def test_half_a_character_in_a_mapping_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"config: .*half a character, which no file can hold"):
        read(table)


def test_overrides_replace_and_add_and_are_named_as_the_place(path: Path) -> None:
    document = read(path)
    document.override("train.epochs=5")
    document.override("data.root=x")
    document.override("model={beta = 2}")
    assert document.table == {
        "train": {"epochs": 5},
        "model": {"beta": 2},
        "data": {"root": "x"},
    }
    assert document.place(("train", "epochs")) == "-s train.epochs=5"
    assert document.place(("data", "root")) == "-s data.root=x"
    assert document.place(("model", "alpha")) == "-s model={beta = 2}"
    assert document.text == TEXT


def test_an_override_goes_through_tables_only(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"-s train.epochs.x=1: train.epochs is 3, which has no"):
        read(path).override("train.epochs.x=1")


def test_a_missing_file_gets_its_neighbours(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"experimnt.toml: no such file. Did you mean .*/exper"):
        read(path.with_name("experimnt.toml"))
    with pytest.raises(ConfigError, match=r"no such file. TOML files there: experiment.toml"):
        read(path.with_name("q.toml"))
    with pytest.raises(ConfigError, match="There is no folder"):
        read(path.parent / "no" / "q.toml")


def test_what_is_no_text_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="this is a folder; expected a TOML file"):
        read(path.parent)
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match="experiment.toml:2: byte 0xff is not UTF-8"):
        read(path)
    with pytest.raises(ConfigError, match="expected a path"):
        read("x\0y")


def test_a_byte_order_mark_is_no_mistake(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    assert read(path).table["train"] == {"epochs": 3}


def test_values_are_found_by_path_only() -> None:
    document = read({"a": {"b": [1, 2]}, "s": "text"})
    assert document.value(("a", "b", 1)) == 2
    for path in [("a", "c"), ("a", "b", 2), ("s", 0), ("a", 0), ("a", "b", "c")]:
        with pytest.raises(KeyError):
            document.value(path)
