"""Odd folders, files and paths: every row is read, or it is said why not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import datasets
import pytest

from mmvae.data.folder import FolderConfig, FolderSource
from mmvae.data.table import TableConfig, TableSource
from mmvae.foundations.errors import DataError, TrainingError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the ``datasets`` library for one test only."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf-cache")
    return tmp_path / "hf-cache"


def rows(path: Path, first: int, last: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(first, last)))
    return path


def table(path: Path | str, **keys: Any) -> TableSource:
    return TableSource(TableConfig(path=str(path), **keys))


def values(source: TableSource) -> dict[str, list[int]]:
    return {
        name: sorted(split.columns["x"].read().values.tolist())
        for name, split in source.splits().items()
    }


WHOLE: dict[str, Any] = {"validation": 0.0, "test": 0.0}


@pytest.mark.parametrize(
    "name",
    [
        "a[1].csv",
        "train*.csv",
        "blood_test.csv",
        "a{b}.csv",
        "what?.csv",
        "é ü.csv",
        "T.CSV",
        "hf:.csv",
    ],
)
def test_a_file_is_what_it_is_called(tmp_path: Path, name: str) -> None:
    for other in ("a1.csv", "train1.csv", "whatx.csv"):
        rows(tmp_path / other, 50, 60)
    source = table(rows(tmp_path / name, 0, 10), **WHOLE)
    assert values(source) == {"train": list(range(10))}
    assert list(source.remarks()) == [f"{tmp_path / name}: 10 rows of {name!r}"]


def test_a_folder_with_brackets_is_a_folder(tmp_path: Path) -> None:
    rows(tmp_path / "d[0-9]" / "a.csv", 0, 5)
    rows(tmp_path / "d[0-9]" / "b[1].csv", 5, 10)
    assert values(table(tmp_path / "d[0-9]", **WHOLE)) == {"train": list(range(10))}


def test_parts_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for i in (10, 9, 1):
        rows(tmp_path / "d" / f"part{i}.csv", i, i + 1)
    split = table(tmp_path / "d", **WHOLE).splits()["train"]
    assert split.columns["x"].read().values.tolist() == [1, 9, 10]


def test_splits_are_told_with_what_is_left_out(tmp_path: Path) -> None:
    for first, name in enumerate(
        ("train", "test", "extra-00000-of-00001", "train-00000-of-00001")
    ):
        rows(tmp_path / "d" / f"{name}.csv", 10 * first, 10 * first + 10)
    (tmp_path / "d" / "notes.md").write_text("")
    assert list(table(tmp_path / "d").remarks()) == [
        f"{tmp_path}/d: 20 rows of 'train-00000-of-00001.csv', 'train.csv'",
        f"{tmp_path}/d: 10 rows of 'test.csv'",
        f"{tmp_path}/d: left out the splits 'extra'",
        f"{tmp_path}/d: left out 'notes.md'",
    ]


def test_one_split_is_never_two(tmp_path: Path) -> None:
    folder = rows(tmp_path / "d" / "test.csv", 0, 20).parent
    found = values(table(folder, train="test", validation=0.0))
    assert sorted(found["train"] + found["test"]) == list(range(20))
    for keys in ({"train": "test", "test": "test"}, {"train": "test", "validation": "test"}):
        with pytest.raises(DataError, match=r"= 'test': that split of .* is data.train already"):
            table(folder, **keys).splits()


@pytest.mark.parametrize("link", [False, True])
def test_one_file_is_never_two_splits(tmp_path: Path, link: bool) -> None:
    file = rows(tmp_path / "d" / "train.csv", 0, 20)
    if link:
        file.with_name("test.csv").symlink_to(file)
    else:
        shutil.copy(file, file.with_name("test.csv"))
    with pytest.raises(
        DataError, match=r"train.csv of the split train and .*test.csv of test have"
    ):
        table(tmp_path / "d").splits()


def test_the_home_folder_and_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows(tmp_path / "home" / "t.csv", 0, 10)
    rows(tmp_path / "home" / "d" / "table.csv", 0, 10)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for path in ("~/t.csv", "~/d"):
        assert values(table(path, **WHOLE)) == {"train": list(range(10))}
    monkeypatch.chdir(tmp_path / "home")
    assert values(table("t.csv", **WHOLE)) == {"train": list(range(10))}
    monkeypatch.chdir(tmp_path)
    for path in ("t.csv", "./t", "no/such/one", "../t.csv"):
        with pytest.raises(DataError, match=r"no such file \(that is /.*working folder"):
            table(path).splits()
    with pytest.raises(DataError, match=r"no such folder \(that is /.*working folder"):
        FolderSource(FolderConfig(path="d")).splits()


def test_data_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    first = rows(tmp_path / "a" / "t.csv", 0, 20)
    before = table(first).fingerprint()
    os.utime(first, (1, 1))
    shutil.copy(first, tmp_path / "other.csv")
    assert table(first).fingerprint() == table(tmp_path / "other.csv").fingerprint() == before
    first.write_text(first.read_text().replace("7,1", "7,2"))  # as many bytes
    os.utime(first, (1, 1))
    again = table(first, **WHOLE)
    assert again.fingerprint() != table(tmp_path / "other.csv", **WHOLE).fingerprint()
    assert again.splits()["train"].columns["y"].read().values.tolist()[7] == 2


def test_pictures_that_a_table_names_are_part_of_the_data(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(bytes([i]))
    (tmp_path / "t.csv").write_text(
        "pic,x\n" + "".join(f"{tmp_path}/{i}.png,{i}\n" for i in range(12))
    )
    first = table(tmp_path / "t.csv").fingerprint()
    os.utime(tmp_path / "3.png", (1, 1))
    assert table(tmp_path / "t.csv").fingerprint() == first
    (tmp_path / "3.png").write_bytes(b"x")
    assert table(tmp_path / "t.csv").fingerprint() != first


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b.csv", "~", "~nobody/x.csv", "", " "])
def test_any_text_as_a_path_is_an_error_that_speaks(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no such file|no table"):
        table(path).splits()


def test_a_full_disk_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(datasets, "load_dataset", full)
    with pytest.raises(TrainingError, match="disk of the cache is full .*HF_DATASETS_CACHE"):
        table("some/data").splits()
    monkeypatch.setattr("mmvae.data.stream_cache.write", full)
    with pytest.raises(TrainingError, match="HF_DATASETS_CACHE"):
        table(rows(tmp_path / "t.csv", 0, 5)).splits()
