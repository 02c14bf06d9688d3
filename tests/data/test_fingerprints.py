"""Files are known by what is in them; a hash that is kept is never that of another content."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from mmvae.data import fingerprints as module
from mmvae.data.fingerprints import content, contents, forget
from mmvae.foundations.errors import DataError

OLD = time.time_ns() - 10**12


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read; all count as settled."""
    found: list[str] = []
    hashed = module.hashed

    def noted(file: Path) -> str:
        found.append(file.name)
        return hashed(file)

    monkeypatch.setattr(module, "hashed", noted)
    monkeypatch.setattr(module, "SETTLED_NS", 0)
    return found


def test_name_and_times_make_no_difference(tmp_path: Path, cache: Path) -> None:
    a, b, other = (tmp_path / name for name in ("a", "b", "other"))
    for file, data in ((a, b"xy"), (b, b"xy"), (other, b"yx")):
        file.write_bytes(data)
    os.utime(b, (1, 1))
    one, two, three = contents([a, b, other])
    assert one == two != three


def test_a_file_is_read_once_until_it_changes(
    tmp_path: Path, cache: Path, reads: list[str]
) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    first = content(file)
    assert content(file) == first
    assert reads == ["f"]
    os.utime(file, ns=(OLD, OLD))
    assert content(file) == first
    assert reads == ["f", "f"]


def test_the_same_size_and_time_hide_no_change(
    tmp_path: Path, cache: Path, reads: list[str]
) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    os.utime(file, ns=(OLD, OLD))
    first = content(file)
    file.write_bytes(b"two")  # in place: the same inode
    os.utime(file, ns=(OLD, OLD))
    second = content(file)
    (tmp_path / "g").write_bytes(b"six")
    os.utime(tmp_path / "g", ns=(OLD, OLD))
    os.replace(tmp_path / "g", file)
    assert len({first, second, content(file)}) == 3


def test_what_changed_just_now_is_not_kept(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "f").write_bytes(b"one")
    content(tmp_path / "f")
    assert not list(cache.rglob("*.json"))


@pytest.mark.parametrize(
    "damaged", [b"", b"{", b"[]", b'{"f": 3}', b'{"f": [1, 2]}', b"\xff", b"[" * 500_000]
)
def test_a_damaged_cache_is_no_obstacle(
    tmp_path: Path, cache: Path, reads: list[str], damaged: bytes
) -> None:
    (tmp_path / "f").write_bytes(b"one")
    first = content(tmp_path / "f")
    (kept,) = (cache / "mmvae-contents").glob("*.json")
    kept.write_bytes(damaged)
    assert content(tmp_path / "f") == first
    assert len(reads) == 2


@pytest.mark.parametrize("number", range(7))
def test_a_changed_entry_is_not_used(
    tmp_path: Path, cache: Path, reads: list[str], number: int
) -> None:
    (tmp_path / "f").write_bytes(b"one")
    first = content(tmp_path / "f")
    (kept,) = (cache / "mmvae-contents").glob("*.json")
    document = json.loads(kept.read_text())
    value = document["f"][number]
    other = value + 1 if isinstance(value, int) else value.translate({ord(value[0]): "g"})
    document["f"][number] = other
    kept.write_text(json.dumps(document))
    assert content(tmp_path / "f") == first
    assert content(tmp_path / "f") == first
    assert reads == ["f", "f"]


def test_an_entry_is_dropped(tmp_path: Path, cache: Path, reads: list[str]) -> None:
    for name in "fg":
        (tmp_path / name).write_bytes(b"one")
        content(tmp_path / name)
    forget(tmp_path / "f")
    content(tmp_path / "g")
    content(tmp_path / "f")
    assert reads == ["f", "g", "f"]


def test_a_cache_that_cannot_be_written_costs_time_alone(
    tmp_path: Path, cache: Path, reads: list[str]
) -> None:
    (tmp_path / "f").write_bytes(b"one")
    cache.write_bytes(b"a file where a folder should be")
    assert content(tmp_path / "f") == content(tmp_path / "f")
    assert len(reads) == 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(DataError, match=r"gone: cannot be read \(No such file"):
        content(tmp_path / "gone")


def test_a_pipe_in_place_of_a_file_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        module.hashed(tmp_path / "pipe")
