"""Data sets that are made: the same by any number of processes, resumed, whole or not there."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from heard import Heard

from mmvae.data.generator import Maker
from mmvae.experiments import generate
from mmvae.experiments.generate import PART, make_data
from mmvae.foundations import operations, storage
from mmvae.foundations.errors import Interrupted, RunError, TrainingError, UsageError
from mmvae.foundations.lock import FolderLock
from mmvae.foundations.progress import Progress

ITEMS = 3 * PART + 5


class Numbers(Maker):
    """A file for each number, and one with their count."""

    kind = "numbers"
    made: list[range] = []

    def make(self, rows):
        self.made.append(rows)
        for i in rows:
            yield f"{i % 2}/{i}.txt", f"{self.config.seed} {i}".encode()

    def finish(self):
        yield "count.txt", str(self.config.items).encode()


class Escaping(Numbers):
    def finish(self):
        yield "../elsewhere.txt", b""


@pytest.fixture(autouse=True)
def _forget() -> None:
    Numbers.made.clear()


def numbers(items: int = ITEMS, seed: int = 0) -> Numbers:
    return Numbers(Numbers.Config(items=items, seed=seed))


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def whole(items: int = ITEMS, seed: int = 0) -> dict[str, str]:
    return {f"{i % 2}/{i}.txt": f"{seed} {i}" for i in range(items)} | {"count.txt": str(items)}


def test_all_files_and_nothing_else_are_there(tmp_path: Path) -> None:
    heard = Heard()
    make_data(numbers(), tmp_path / "deep" / "set", progress=heard)
    assert contents(tmp_path / "deep" / "set") == whole()
    assert os.listdir(tmp_path / "deep") == ["set"]
    assert heard.parts == [(Numbers.kind, n, ITEMS) for n in (0, PART, 2 * PART, 3 * PART, ITEMS)]


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    make_data(numbers(3), tmp_path / "set")
    assert contents(tmp_path / "set") == whole(3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_make_goes_on_where_it_stopped(
    tmp_path: Path, number: signal.Signals
) -> None:
    class Interrupting(Progress):
        def part(self, what: str, done: int, total: int) -> None:
            if done == PART:
                os.kill(os.getpid(), number)

    out = tmp_path / "set"
    with pytest.raises(Interrupted, match="of 197 items made; the same command resumes") as caught:
        make_data(numbers(), out, progress=Interrupting())
    assert caught.value.exit_code == {signal.SIGTERM: 75, signal.SIGINT: 130}[number]
    assert not out.exists()
    before = len(Numbers.made)
    assert before < 4
    make_data(numbers(), out)
    assert [rows.start for rows in Numbers.made] == [0, PART, 2 * PART, 3 * PART]
    assert contents(out) == whole()
    assert os.listdir(tmp_path) == ["set"]


def test_another_data_set_begins_anew(tmp_path: Path) -> None:
    class Stopping(Progress):
        def part(self, what: str, done: int, total: int) -> None:
            if done == PART:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_data(numbers(seed=1), tmp_path / "set", progress=Stopping())
    assert not (tmp_path / "set").exists()
    make_data(numbers(seed=2), tmp_path / "set")
    assert contents(tmp_path / "set") == whole(seed=2)


def test_a_failing_disk_leaves_nothing_under_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(operation: str, *paths: Path) -> None:
        if operation == "write" and paths[0].name == "100.txt":
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(operations, "fault", full)
        with pytest.raises(TrainingError, match=r"100\.txt: No space left"):
            make_data(numbers(), tmp_path / "set")
    assert not (tmp_path / "set").exists()
    make_data(numbers(), tmp_path / "set")
    assert contents(tmp_path / "set") == whole()


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="--out .*set is not empty; expected a new or an empty"):
        make_data(numbers(), tmp_path / "set")
    with pytest.raises(UsageError, match=r"mine\.txt is a file; expected"):
        make_data(numbers(), tmp_path / "set" / "mine.txt")
    assert contents(tmp_path) == {"set/mine.txt": "mine"}
    assert not Numbers.made


@pytest.mark.parametrize("operation", ["rename", "remove"])
def test_a_process_killed_when_all_is_made_leaves_nothing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    def end(done: str, *paths: Path) -> None:
        if done == operation and paths[0].name.startswith((".set.making", "..set.making")):
            raise KeyboardInterrupt

    with monkeypatch.context() as killing:
        killing.setattr(operations, "fault", end)
        with pytest.raises(KeyboardInterrupt):
            make_data(numbers(), tmp_path / "set")
    assert len(os.listdir(tmp_path)) == 2
    with pytest.raises(UsageError, match="is not empty"):
        make_data(numbers(), tmp_path / "set")
    assert os.listdir(tmp_path) == ["set"]
    assert contents(tmp_path / "set") == whole()


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The rest of a process that was killed when all that it made was in its place."""
    stage = tmp_path / ".set.making"
    stage.mkdir()
    (stage / "parts").touch()
    return stage


def test_what_is_left_is_removed_under_its_lock(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    def look(operation: str, *paths: Path) -> None:
        if operation == "rename" and paths[0] == left:
            held.append(FolderLock(left).is_held())

    monkeypatch.setattr(operations, "fault", look)
    make_data(numbers(3), left.parent / "set")
    assert held == [True, True]  # what was left, and its own in the end
    assert os.listdir(left.parent) == ["set"]


def test_what_another_process_goes_on_with_meanwhile_stays(
    left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = FolderLock.held

    def late(lock: FolderLock) -> contextlib.AbstractContextManager[bool]:
        (left / "data").mkdir()
        return held(lock)

    monkeypatch.setattr(FolderLock, "held", late)
    generate._tidy(left)
    assert (left / "data").is_dir()


def test_a_folder_that_another_process_removes_meanwhile_is_not_worked_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = FolderLock.held

    @contextlib.contextmanager
    def late(lock: FolderLock) -> Iterator[bool]:
        with held(lock) as outermost:
            storage.remove_folder(tmp_path / ".set.making")
            yield outermost

    monkeypatch.setattr(FolderLock, "held", late)
    with pytest.raises(RunError, match="another process has just ended there. Repeat"):
        make_data(numbers(), tmp_path / "set")
    assert not Numbers.made


def test_two_processes_cannot_make_one_folder(tmp_path: Path) -> None:
    (tmp_path / ".set.making").mkdir()
    with FolderLock(tmp_path / ".set.making").held(), pytest.raises(RunError, match="in use"):
        make_data(numbers(), tmp_path / "set")


def test_a_maker_stays_in_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside its folder"):
        make_data(Escaping(Escaping.Config(items=1)), tmp_path / "set")
    assert not (tmp_path / "elsewhere.txt").exists()
