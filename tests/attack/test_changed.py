"""Data files that change while they are read: refused, and nothing of them is kept."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmvae.data import fingerprints
from mmvae.data import table_reader as reader
from mmvae.data.fingerprints import marks
from mmvae.data.table_reader import read_table
from mmvae.foundations.errors import DataError

ROWS = 2_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table whose times of change lie in the past, so that its hash may be cached."""
    path = tmp_path / "items.csv"
    path.write_text("x\n" + "1\n" * ROWS)
    os.utime(path, (1, 1))
    return path


def mapped(path: Path) -> None:
    """Change a byte through a memory map, and set the times back."""
    before = path.stat()
    with path.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as memory:
        memory[-2:-1] = b"7"
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_text("x\n" + "2\n" * ROWS)
    other.replace(path)


@pytest.mark.parametrize("change", [mapped, replaced, os.unlink])
@pytest.mark.parametrize("when", ["types are found", "rows are read"])
def test_a_file_that_changes_while_it_is_read(
    file: Path, change: Callable[[Path], None], when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    types, rows = reader.Streams.__call__, reader.tables

    def found(streams: reader.Streams) -> object:
        opened = types(streams)
        change(file)
        return opened

    def read(*given: Any) -> list[Any]:
        made = list(rows(*given))
        change(file)
        return made

    with monkeypatch.context() as patch:
        if when == "types are found":
            patch.setattr(reader.Streams, "__call__", found)
        else:
            patch.setattr(reader, "tables", read)
        with pytest.raises(DataError, match=r"changed while it was|cannot be read|no such file"):
            read_table([file])
    if file.exists():
        table = read_table([file]).table
        assert table[ROWS - 1]["x"] == int(file.read_text().split()[-1])


def test_the_marks_of_a_file_have_its_times(file: Path) -> None:
    before = marks(file)
    mapped(file)
    assert marks(file) != before  # ctime, which no program sets


def test_a_wrong_cached_hash_is_used_once_at_most(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(fingerprints, "SETTLED_NS", 0)
    right = fingerprints.content(file)
    (cache,) = (tmp_path / "cache" / "mmvae-contents").glob("*.json")
    wrong = fingerprints._entry(marks(file), "0" * len(right))
    cache.write_text(json.dumps({file.name: wrong}))
    with pytest.raises(DataError, match="or its cached hash was wrong"):
        read_table([file])
    assert len(read_table([file]).table) == ROWS
    assert fingerprints.content(file) == right
