"""Streams: read once, in sequence; then they are what the same table is, to the last bit."""

from __future__ import annotations

import io
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from toys import NAMES, toy_items
from trainings import assert_same_run, config, resume, train

from mmvae.data import stream_cache
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.table import TableConfig, TableSource
from mmvae.foundations.errors import DataError, TrainingError

pytestmark = pytest.mark.usefixtures("cache")

N = 30
ITEMS = toy_items(N)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven items at a time, so that a few items are several chunks."""
    monkeypatch.setattr(stream_cache, "CHUNK", 7)


def rows(n: int = N) -> list[dict[str, Any]]:
    """Vectors, classes, and texts of which the later half are missing."""
    return [
        {"v": ITEMS["v"][i].tolist(), "c": int(ITEMS["c"][i]), "t": f"é{i}" if i < n / 2 else None}
        for i in range(n)
    ]


def write_parquet(path: Path) -> None:
    features = datasets.Features(
        {
            "v": datasets.List(datasets.Value("float32")),
            "c": datasets.ClassLabel(names=list(NAMES)),
            "t": datasets.Value("string"),
        }
    )
    datasets.Dataset.from_list(rows(), features=features).to_parquet(str(path))


def write_lines(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))


def write_csv(path: Path) -> None:
    lines = [f"{row['c']},{row['v'][0]},{row['t'] or ''}\n" for row in rows()]
    path.write_text("c,v,t\n" + "".join(lines))


def write_arrow(path: Path) -> None:
    datasets.Dataset.from_list(rows()).save_to_disk(str(path.parent / "saved"))
    (file,) = (path.parent / "saved").glob("*.arrow")
    file.rename(path)


WRITERS: dict[str, Callable[[Path], None]] = {
    ".parquet": write_parquet,
    ".jsonl": write_lines,
    ".csv": write_csv,
    ".arrow": write_arrow,
}


def source(path: Path, **keys: Any) -> TableSource:
    return TableSource(TableConfig(path=str(path), **keys))


def stream(items: Any, **options: Any) -> datasets.IterableDataset:
    """A stream of what calling ``items`` gives."""
    return datasets.IterableDataset.from_generator(items, **options)


def held(data: Any) -> MemorySource:
    return MemorySource(MemoryConfig(), data)


def plain(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values


def left_behind(cache: Path) -> list[str]:
    """The files of streams in the cache, but for locks and checksums."""
    beside = (".lock", ".sum")
    return sorted(f.name for f in (cache / "mmvae-streams").glob("*") if f.suffix not in beside)


def never(*_: Any) -> None:
    raise AssertionError("the stream was read")


# -- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", WRITERS)
def test_a_streamed_table_is_the_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    WRITERS[ending](path)
    streamed, read = source(path, stream=True).splits(), source(path).splits()
    assert streamed.keys() == read.keys()
    for name, split in read.items():
        assert streamed[name].ids.tolist() == split.ids.tolist()
        for column, theirs in split.columns.items():
            ours = streamed[name].columns[column]
            assert plain(ours.read().values) == plain(theirs.read().values)
            assert (ours.names, ours.origin, ours.num_missing) == (
                theirs.names,
                theirs.origin,
                theirs.num_missing,
            )


def test_it_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path)
    first = source(path, stream=True)
    before = first.fingerprint()
    monkeypatch.setattr(stream_cache, "write", never)
    assert source(path, stream=True).fingerprint() == before
    os.utime(path, (1, 1))  # touched, it is the same
    assert source(path, stream=True).fingerprint() == before
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa91", b"\xc3\xa92"))
    with pytest.raises(AssertionError, match="was read"):
        source(path, stream=True).splits()


def test_a_damaged_file_of_the_cache_is_made_anew(
    tmp_path: Path, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.jsonl"
    write_lines(path)
    first = source(path, stream=True)
    wanted = [plain(c.read().values) for c in first.splits()["train"].columns.values()]
    (file,) = (cache / "mmvae-streams").glob("*.arrow")
    whole = file.read_bytes()
    for damaged in (whole[:-100], whole[:900] + bytes(80) + whole[980:], b""):
        file.write_bytes(damaged)
        again = source(path, stream=True)
        found = [plain(c.read().values) for c in again.splits()["train"].columns.values()]
        assert found == wanted
        assert again.fingerprint() == first.fingerprint()
        assert f"{file} is damaged, and is created again" in capfd.readouterr().err
        assert file.read_bytes() == whole


@pytest.mark.parametrize("kind", ["changed", "cut", "empty", "folder", "sound"])
def test_a_file_of_the_cache_without_its_checksum_is_made_anew(
    tmp_path: Path, cache: Path, kind: str
) -> None:
    path = tmp_path / "t.jsonl"
    write_lines(path)
    first = source(path, stream=True)
    wanted = [plain(c.read().values) for c in first.splits()["train"].columns.values()]
    (file,) = (cache / "mmvae-streams").glob("*.arrow")
    whole, told = file.read_bytes(), file.with_suffix(".sum")
    checksum = told.read_bytes()
    told.unlink()
    middle = len(whole) // 2
    damaged = {
        "changed": whole[:middle] + b"\xff" * 64 + whole[middle + 64 :],
        "cut": whole[:middle],
        "empty": b"",
        "sound": whole,
    }
    file.unlink()
    if kind == "folder":
        file.mkdir()
    else:
        file.write_bytes(damaged[kind])
    again = source(path, stream=True).splits()["train"].columns.values()
    assert [plain(c.read().values) for c in again] == wanted
    assert file.read_bytes() == whole
    assert told.read_bytes() == checksum


def test_of_a_folder_the_splits_that_are_wanted_are_read(tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "test", "extra"):
        write_lines(folder / f"{name}.jsonl")
        with (folder / f"{name}.jsonl").open("a") as file:
            file.write("\n" * len(name))  # the same items, but no copy of the file
    files = {name: str(folder / f"{name}.jsonl") for name in ("train", "test", "extra")}
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_files:\n"
        + "".join(f"  - split: {n}\n    path: {Path(f).name}\n" for n, f in files.items())
        + "---\n"
    )
    splits = source(folder, stream=True).splits()
    assert {name: len(split) for name, split in splits.items()} == {
        "train": 27,
        "validation": 3,
        "test": 30,
    }
    assert len(left_behind(cache)) == 2


def test_columns_and_items_are_those_wanted(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    write_lines(path)
    keys = {"stream": True, "validation": 0.0, "test": 0.0}
    some = source(path, columns=["c", "v"], items=11, **keys)
    split = some.splits()["train"]
    assert list(split.columns) == ["c", "v"]
    assert plain(split.columns["c"].read().values) == ITEMS["c"][:11].tolist()
    assert some.fingerprint() != source(path, columns=["c", "v"], items=12, **keys).fingerprint()
    rows, kept = some.remarks()
    assert rows == f"{path}: 11 rows of 't.jsonl'"
    assert str(stream_cache.place("").parent) in kept


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_column_that_is_not_there(tmp_path: Path, cache: Path, ending: str) -> None:
    path = tmp_path / f"t{ending}"
    WRITERS[ending](path)
    with pytest.raises(DataError, match=r"no column 'cc', but c?.*Did you mean 'c'"):
        source(path, stream=True, columns=["cc"]).splits()
    assert left_behind(cache) == []


def test_a_stream_that_ends_before_the_items_it_was_to_have(tmp_path: Path, cache: Path) -> None:
    write_lines(tmp_path / "t.jsonl")
    with pytest.raises(DataError, match=r"ended after 30 items, but data.items = 31\. .*= 30"):
        source(tmp_path / "t.jsonl", stream=True, items=31).splits()
    assert left_behind(cache) == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.parquet", b"no table", "magic bytes"),
        ("t.csv", b"a,b\n", "no rows; expected at least one"),
        ("t.jsonl", b"", "no rows"),
        ("t.jsonl", b'{"a": 1}\n{"a": \n', "JSON"),
        ("t.csv", b"a,b\n1,2\n1,2,3,4\n", "line 3: 4 values, expected 2"),
    ],
)
def test_a_malformed_file_is_named_with_the_cause(
    tmp_path: Path, cache: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        source(tmp_path / name, stream=True).splits()
    assert str(tmp_path / name) in str(caught.value)
    assert left_behind(cache) == []


@pytest.mark.parametrize("keys", [{"columns": ["c"]}, {"items": 3}])
def test_what_is_for_streams_is_refused_without(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="is for stream = true"):
        TableConfig(path="t.csv", **keys)


# -- streams in memory ----------------------------------------------------------------------------


def test_a_stream_in_memory_is_its_items_and_leaves_no_file(cache: Path) -> None:
    splits = held(stream(rows)).splits()
    read = held({name: [row[name] for row in rows()] for name in ("v", "c", "t")}).splits()
    for name, split in read.items():
        ours = splits[name].take(np.arange(len(split)))
        for column, theirs in split.columns.items():
            assert plain(ours.columns[column].read().values) == plain(theirs.read().values)
    assert left_behind(cache) == []


KILLED = """
import os, signal, datasets
from mmvae.data.stream_cache import passing

def items():
    yield {"c": 1}
    os.kill(os.getpid(), signal.SIGKILL)

passing(datasets.IterableDataset.from_generator(items), "data")
"""


def test_the_next_stream_in_memory_removes_what_a_killed_process_left(cache: Path) -> None:
    where = {**os.environ, "HF_DATASETS_CACHE": str(cache)}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=where, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(left_behind(cache)) == 1
    held(stream(rows)).splits()
    assert left_behind(cache) == []


def test_each_split_may_be_a_stream() -> None:
    data = {"train": stream(rows), "test": stream(lambda: rows(5))}
    assert {name: len(s) for name, s in held(data).splits().items()} == {"train": 30, "test": 5}


def test_its_fingerprint_is_of_what_it_gave() -> None:
    assert held(stream(rows)).fingerprint() == held(stream(rows)).fingerprint()
    assert held(stream(rows)).fingerprint() != held(stream(lambda: rows()[1:])).fingerprint()


def test_pictures_of_a_generator_stay_encoded() -> None:
    def pictures() -> Iterator[dict[str, Any]]:
        for shade in range(10):
            yield {"p": Image.new("L", (3, 2), shade)}

    column = held({"train": stream(pictures)}).splits()["train"].columns["p"].take([9])
    with Image.open(io.BytesIO(column.read().values[0]["bytes"])) as picture:
        assert picture.getpixel((0, 0)) == 9


def test_few_items_are_in_memory_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given, ahead = [], []
    fitted = stream_cache.fitted

    def watched(table: Any, schema: Any, where: str) -> Any:
        ahead.append(len(given) - 7 * len(ahead))  # what was asked of the stream and not written
        return fitted(table, schema, where)

    def counted() -> Iterator[dict[str, Any]]:
        for i in range(50):
            given.append(i)
            yield {"a": i}

    monkeypatch.setattr(stream_cache, "fitted", watched)
    split = held({"train": stream(counted)}).splits()["train"]
    assert max(ahead) <= 2 * 7
    chunks = split.columns["a"].values.dataset.data.column("a").chunks
    assert [len(chunk) for chunk in chunks] == [7] * 7 + [1]


# -- what is no stream of items -------------------------------------------------------------------


def breaking(at: int) -> Callable[[], Iterator[dict[str, Any]]]:
    def items() -> Iterator[dict[str, Any]]:
        yield from itertools.islice(rows(), at)
        raise ConnectionError("the line\nis dead")

    return items


def changed(at: int, **changes: Any) -> Callable[[], Iterator[dict[str, Any]]]:
    """Items of which those from ``at`` on have other values, or lack what is ``...``."""

    def items() -> Iterator[dict[str, Any]]:
        for i in range(21):
            row = {"a": i, "b": "x"} | (changes if i >= at else {})
            yield {name: value for name, value in row.items() if value is not ...}

    return items


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (breaking(20), r"ended early, after at least 14 items \(the line is dead\)"),
        (lambda: iter(()), "train: the stream ended after 0 items, expected one at least"),
        (changed(14, d=1), "train, items 14 to 20, have the column 'd', which the first 7"),
        (changed(14, a=0.5), "items 14 to 20, column 'a': double where .* int64.*truncated"),
        (lambda: reversed(rows()), "items 14 to 20, column 't': string where .* have null"),
        (changed(14, a="q"), "column 'a': string where the items before have int64"),
    ],
)
def test_a_stream_that_goes_wrong_is_named_with_the_place(
    items: Any, message: str, cache: Path
) -> None:
    with pytest.raises(DataError, match=message):
        held({"train": stream(items)})
    assert left_behind(cache) == []


@pytest.mark.parametrize("value", [None, ...], ids=["null", "absent"])
@pytest.mark.parametrize("at", [9, 14])
def test_gaps_may_begin_late(value: Any, at: int) -> None:
    column = held({"train": stream(changed(at, a=value))}).splits()["train"].columns["a"]
    assert column.num_missing == 21 - at
    assert column.without_missing().read().values.tolist() == list(range(at))


def test_a_full_disk_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stream_cache, "write", full)
    with pytest.raises(TrainingError, match=r"No space left.*HF_DATASETS_CACHE.*data\.items"):
        held({"train": stream(rows)})


def test_of_many_who_come_at_once_one_reads() -> None:
    reads: list[int] = []
    begun = threading.Event()

    def counted() -> Iterator[dict[str, Any]]:
        reads.append(1)
        begun.wait(1)
        yield from rows()

    found: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(stream_cache.cached_stream(stream(counted), "k", "s"))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert [table["c"][:] for table in found] == [ITEMS["c"].tolist()] * 3
    assert len(reads) == 1


def test_progress_says_how_far_it_is() -> None:
    assert stream_cache.reached("t.csv", 3000, None, 2.0) == "reading t.csv: 3,000 items, 1,500/s"
    line = stream_cache.reached("t.csv", 3000, 9000, 2.0)
    assert line == "reading t.csv: 3,000/9,000 items, 1,500/s, 0:00:04 left"


# -- training -------------------------------------------------------------------------------------


def lines(path: Path) -> dict[str, Any]:
    """``[data]`` of a table of items; ``v`` and ``c`` alone."""
    write_lines(path)
    return {"source": "table", "path": str(path)}


def test_training_and_resuming_are_as_with_a_table(tmp_path: Path) -> None:
    data = lines(tmp_path / "t.jsonl")
    settings = config(data=data | {"stream": True, "columns": ["v", "c"]})
    train(tmp_path / "table", config(data=data))
    train(tmp_path / "whole", settings)
    train(tmp_path / "stopped", settings, max_steps=3)
    resume(tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")
    assert_same_run(tmp_path / "whole", tmp_path / "table")


def test_a_stream_in_memory_is_given_again_to_go_on(tmp_path: Path) -> None:
    settings = config(data={"source": "memory"})
    train(tmp_path / "whole", settings, data=stream(rows))
    train(tmp_path / "stopped", settings, data=stream(rows), max_steps=3)
    with pytest.raises(DataError, match=r"\(24 train, .*these have .*\(11 train, "):
        resume(tmp_path / "stopped", data=stream(lambda: rows(15)))
    resume(tmp_path / "stopped", data=stream(rows))
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_planted_lock_is_refused_and_not_written_through(tmp_path, kind) -> None:
    victim, lock = tmp_path / "victim", tmp_path / "a.lock"
    victim.write_text("precious")
    if kind == "link":
        lock.symlink_to(victim)
    else:
        os.mkfifo(lock)
    with pytest.raises(TrainingError, match="a.lock"), stream_cache.alone(tmp_path / "a.arrow"):
        pass
    assert victim.read_text() == "precious"
