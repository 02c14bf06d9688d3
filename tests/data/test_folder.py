"""A folder of files: items matched by name, absent files as gaps, splits by folder or by share."""

from __future__ import annotations

import csv
import os
import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest

from mmvae.data.folder import FolderConfig, FolderSource
from mmvae.data.folder_files import content
from mmvae.data.item_folder import read_folder
from mmvae.foundations.errors import DataError
from mmvae.testing import SourceContract

pytestmark = pytest.mark.usefixtures("cache")


def fill(folder: Path, n: int = 12) -> Path:
    """Pictures (bytes), texts and arrays of n items; every third has no text."""
    for name in ("photo", "text", "signal"):
        (folder / name).mkdir(parents=True)
    for i in range(n):
        (folder / "photo" / f"{i}.jpg").write_bytes(bytes([i, 255]))
        if i % 3:
            (folder / "text" / f"{i}.txt").write_text(f"item {i}\n")
        np.save(folder / "signal" / f"{i}.npy", np.full(2, i))
    return folder


def write_table(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def source(path: Path, **keys: Any) -> FolderSource:
    return FolderSource(FolderConfig(path=str(path), **keys))


class TestContract(SourceContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = fill(tmp_path / "items")

    def make_source(self) -> FolderSource:
        return source(self.folder)


def test_items_are_matched_by_name_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    split = read_folder(fill(tmp_path / "a"))
    assert list(split.ids) == [str(i) for i in range(12)]
    assert split.columns["photo"].read().values[10] == bytes([10, 255])
    assert split.columns["signal"].read().values[11].tolist() == [11, 11]
    assert split.columns["text"].take([2, 1]).read().values == ["item 2", "item 1"]


def test_an_absent_file_is_a_gap(tmp_path: Path) -> None:
    columns = read_folder(fill(tmp_path / "a")).columns
    present = columns["text"].present
    assert present is not None
    assert present.tolist() == [i % 3 > 0 for i in range(12)]
    assert columns["photo"].present is None
    assert columns["text"].without_missing().read().values[0] == "item 1"


def test_a_table_beside_the_folders_adds_columns_and_items(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", 3)
    rows = [{"id": "1.jpg", "age": "31"}, {"id": "9", "age": ""}, {"id": "0", "age": "30"}]
    write_table(folder / "people.csv", rows)
    split = read_folder(folder)
    assert list(split.ids) == ["0", "1", "2", "9"]
    age, photo = split.columns["age"], split.columns["photo"]
    assert age.present is not None
    assert age.present.tolist() == [True, True, False, False]
    assert [int(v) for v in age.without_missing().read().values] == [30, 31]
    assert photo.present is not None
    assert photo.present.tolist() == [True, True, True, False]
    assert "id" not in split.columns


def test_splits_by_folder_or_by_share(tmp_path: Path) -> None:
    fill(tmp_path / "data" / "train")
    fill(tmp_path / "data" / "test", 4)
    splits = source(tmp_path / "data", validation=0.25).splits()
    assert {n: len(s) for n, s in splits.items()} == {"train": 9, "validation": 3, "test": 4}
    splits = source(tmp_path / "data" / "train", validation=0.25, test=0.5).splits()
    assert {n: len(s) for n, s in splits.items()} == {"train": 3, "validation": 3, "test": 6}


def test_groups_of_the_table_stay_together(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a")
    write_table(folder / "t.csv", [{"id": i, "who": i % 4} for i in range(12)])
    splits = source(folder, group="who", test=0.25, validation=0).splits()
    homes = [set(s.columns["who"].read().values.tolist()) for s in splits.values()]
    assert sorted(map(len, homes)) == [1, 3]
    assert not homes[0] & homes[1]


def test_the_fingerprint_follows_files_and_splits(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a")
    first = source(folder).fingerprint()
    assert source(folder).fingerprint() == first
    assert source(folder, split_seed=1).fingerprint() != first
    (folder / "photo" / "3.jpg").write_bytes(b"another")
    assert source(folder).fingerprint() != first


def test_the_fingerprint_follows_contents_alone(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a")
    write_table(folder / "t.csv", [{"id": i, "who": 1} for i in range(12)])
    first = source(folder).fingerprint()
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    (tmp_path / "copy" / "photo" / ".DS_Store").write_bytes(b"x")
    assert source(tmp_path / "copy").fingerprint() == first
    file = folder / "photo" / "3.jpg"
    stat = file.stat()
    file.write_bytes(bytes([4, 255]))  # of the same size
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert source(folder).fingerprint() != first
    (tmp_path / "copy" / "t.csv").write_bytes((folder / "t.csv").read_bytes()[:-3] + b"2\r\n")
    assert source(tmp_path / "copy").fingerprint() != first


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f: (f / "photo" / "1.png").write_bytes(b""),
            r"1.png and 1.jpg belong to one item",
        ),
        (
            lambda f: (f / "photo" / "more").mkdir(),
            r"more: a folder in the folder of one modality",
        ),
        (lambda f: write_table(f / "t.csv", [{"idd": 1}]), r"no column 'id'.*mean 'idd'.*data.id"),
        (lambda f: write_table(f / "t.csv", [{"id": 1}, {"id": 1}]), r"row 1 has '1', as row 0"),
        (lambda f: write_table(f / "t.csv", [{"id": 1, "photo": 2}]), r"'photo' is both a sub-"),
        (lambda f: [write_table(f / n, [{"id": 1}]) for n in ("a.csv", "b.csv")], "two tables"),
        (lambda f: [write_table(f / n, [{"id": 1}]) for n in ("a.csv", "b.CSV")], "two tables"),
        (lambda f: (f / "t.csv.gz").write_bytes(b""), "t.csv.gz: .gz files are not read; unpack"),
        (lambda f: (f / "t.xlsx").write_bytes(b""), "t.xlsx: .xlsx files are not read; save it"),
        (lambda f: (f / "text" / "1.txt.gz").write_bytes(b""), "1.txt.gz: .gz files are not read"),
        (lambda f: os.mkfifo(f / "photo" / "9.jpg"), "9.jpg: no regular file"),
        (lambda f: (f / "photo" / "9.jpg").symlink_to("gone"), "9.jpg: a link to nothing"),
        (lambda f: write_table(f / "t.csv", [{"id": "x1"}]), r"none of its 1 rows names a file"),
        (lambda f: write_table(f / "t.csv", [{"id": ""}]), r"row 0 has no name|no rows"),
        (
            lambda f: write_table(f / "t.csv", [{"id": "1"}, {"id": "1.jpg"}]),
            r"row 1 has '1', as row 0",
        ),
        (
            lambda f: [(f / "photo" / f"{n}.jpg").write_bytes(b"") for n in ("é", "e\u0301")],
            r"belong to one item, 'é'",
        ),
    ],
)
def test_a_folder_that_is_ambiguous_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    folder = fill(tmp_path / "a", 3)
    make(folder)
    with pytest.raises(DataError, match=message):
        read_folder(folder)


def test_what_is_not_there_or_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        source(tmp_path / "nowhere").splits()
    with pytest.raises(DataError, match=r"no items. Expected sub-folders"):
        source(tmp_path).splits()
    folder = fill(tmp_path / "a", 3)
    (folder / "signal" / "1.npy").write_bytes(b"no array")
    (folder / "text" / "2.txt").write_bytes(b"\xff")
    columns = read_folder(folder).columns
    with pytest.raises(DataError, match=r"1.npy: cannot be read"):
        columns["signal"].read()
    with pytest.raises(DataError, match=r"2.txt: cannot be read"):
        columns["text"].read()
    fill(tmp_path / "b" / "train", 3)
    fill(tmp_path / "b" / "test", 3)
    (tmp_path / "b" / "test" / "extra").mkdir()
    with pytest.raises(DataError, match=r"expected the same sub-folders"):
        source(tmp_path / "b").splits()


def test_a_table_says_how_files_are_called_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "pic").mkdir()
    names = ["0001", "a.b", "10²", "NA", "1e3", "٣"]
    for name in names:
        (tmp_path / "pic" / f"{name}.PNG").write_bytes(name.encode())
    write_table(tmp_path / "t.CSV", [{"id": name, "n": i} for i, name in enumerate(names)])
    split = read_folder(tmp_path)
    assert set(split.ids) == set(names)
    for name, picture in zip(split.ids, split.columns["pic"].read().values, strict=True):
        assert picture.decode() == name
    order = [names.index(name) for name in split.ids]
    assert split.columns["n"].read().values.tolist() == order


def test_numbers_of_a_table_that_lost_their_zeros_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pic").mkdir()
    for i in range(12):
        (tmp_path / "pic" / f"{i:02}.png").write_bytes(b"")
    datasets.Dataset.from_dict({"id": range(12), "n": range(12)}).to_parquet(
        str(tmp_path / "t.parquet")
    )  # 10 and 11 pair, the others would not
    with pytest.raises(DataError, match=r"'00'.*'0', and 9 such pairs more.*leading zeros"):
        read_folder(tmp_path)


def test_rows_and_files_that_stand_alone_are_counted(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a", 3)
    write_table(folder / "t.csv", [{"id": "1", "n": 1}, {"id": "x", "n": 2}])
    for name in (".DS_Store", "photo/Thumbs.db", "notes.md"):
        (folder / name).write_bytes(b"")
    found = source(folder, validation=0, test=0)
    assert list(found.remarks()) == [
        f"{folder}: 3 files in photo, 3 files in signal, 2 files in text, 2 rows in t.csv",
        f"{folder}: left out '.DS_Store', 'Thumbs.db', 'notes.md'",
    ]
    assert list(found.doubts()) == [
        f"{folder}/t.csv: 1 of 2 rows match no file: 'x'",
        f"{folder}/t.csv has no row for 2 of 3 items that have files: '0', '2'",
    ]


def test_what_stands_beside_the_splits_is_not_passed_over(tmp_path: Path) -> None:
    fill(tmp_path / "train", 3)
    fill(tmp_path / "val", 3)
    with pytest.raises(DataError, match=r"val is next to .*train.*meant as validation"):
        source(tmp_path).splits()


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("a.txt", b"one\ntwo\n", "one\ntwo"),
        ("a.TXT", b"one\r\n", "one"),
        ("a.txt", b"\xef\xbb\xbfone\n\n", "one\n"),
        ("a.txt", b"one\r\ntwo", "one\r\ntwo"),
        ("a.txt", b"", ""),
    ],
)
def test_a_text_is_what_its_lines_hold(tmp_path: Path, name: str, data: bytes, text: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert content(tmp_path / name) == text


def test_a_file_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    for name in (b"1.txt", b"\xff2.txt"):
        path = os.path.join(os.fsencode(tmp_path), b"report", name)
        with open(path, "w", encoding="utf-8") as file:
            file.write("a")
    with pytest.raises(DataError, match=r"report/.udcff2.txt: .*b'.xff2.txt', are no UTF-8.*Ren"):
        FolderSource(FolderConfig(path=str(tmp_path), validation=0, test=0)).splits()
