"""Paths are taken as they are written, and folders of tables lose no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmvae.data.paths import found_folder, place, table_files, tried
from mmvae.foundations.errors import DataError


def files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a\n1\n")
    return root


def found(root: Path) -> dict[str, list[str]]:
    splits = table_files(root).splits
    return {name: [str(file.relative_to(root)) for file in part] for name, part in splits.items()}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["blood_test.csv"], {"train": ["blood_test.csv"]}),
        (["a.csv", "b.csv"], {"train": ["a.csv", "b.csv"]}),
        (["part10.csv", "part2.csv"], {"train": ["part2.csv", "part10.csv"]}),
        (["train_part1.csv", "part2.csv"], {"train": ["part2.csv", "train_part1.csv"]}),
        (["test.csv", "train.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["Train.csv", "VAL.CSV"], {"train": ["Train.csv"], "validation": ["VAL.CSV"]}),
        (
            ["train/a.csv", "train/b.csv", "test/a.csv"],
            {"train": ["train/a.csv", "train/b.csv"], "test": ["test/a.csv"]},
        ),
        (
            ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv"],
            {"train": ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv"]},
        ),
        (
            ["train-00000-of-00001.csv", "extra-00000-of-00001.csv"],
            {"train": ["train-00000-of-00001.csv"], "extra": ["extra-00000-of-00001.csv"]},
        ),
        (["data-00000-of-00001.csv"], {"train": ["data-00000-of-00001.csv"]}),
    ],
)
def test_every_table_is_in_a_split(
    tmp_path: Path, names: list[str], splits: dict[str, list[str]]
) -> None:
    assert found(files(tmp_path, *names)) == splits
    assert list(found(tmp_path)) == list(splits)  # train first


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.csv", "b.parquet"], r"several kinds \(1 csv, 1 parquet\): 'a.csv', 'b.parquet'"),
        (["train.csv", "part2.csv"], "'train.csv' have the name of a split.* 'part2.csv' do not"),
        (["train/a.csv", "b.csv"], "'train/a.csv' have the name of a split.* 'b.csv' do not"),
        (["train_a.csv", "test_a.csv"], r"several splits \(test, train\), but a split is"),
        (["train-00000-of-00003.csv", "train-00002-of-00003.csv"], "'00001' are missing"),
        (["train/test.csv"], "named test, in a folder named train"),
        (["notes.md"], "no table in that folder; there are 'notes.md'"),
        ([], "no table in that folder. Expected .*data.source = 'folder'"),
        (["a.csv", "b.csv.gz"], "b.csv.gz: .gz files are not read; unpack it"),
        (["a.csv", "b.xlsx"], "b.xlsx: .xlsx files are not read; save it as CSV"),
    ],
)
def test_what_is_not_clear_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        table_files(files(tmp_path, *names))


def test_what_is_left_out_is_listed(tmp_path: Path) -> None:
    files(tmp_path, "a.csv", "README.md", ".DS_Store", ".cache/b.csv", "Thumbs.db")
    tables = table_files(tmp_path)
    assert [file.name for file in tables.splits["train"]] == ["a.csv"]
    assert sorted(tables.left_out) == [".DS_Store", ".cache", "README.md", "Thumbs.db"]


def test_a_data_set_saved_to_disk_is_its_tables(tmp_path: Path) -> None:
    files(tmp_path, *(f"{n}/{f}" for n in ("train", "test") for f in ("state.json", "x.arrow")))
    assert found(tmp_path) == {"train": ["train/x.arrow"], "test": ["test/x.arrow"]}


def test_a_path_that_is_not_there_is_told_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "house"))
    assert place("~/t.csv") == tmp_path / "house" / "t.csv"
    assert tried(str(tmp_path / "t.csv")) == ""
    assert tried("~/t.csv") == f" (that is {tmp_path}/house/t.csv)"
    with pytest.raises(DataError, match=rf"no such folder \(that is {tmp_path}/a: relative paths"):
        found_folder("a")
    (tmp_path / "a").write_text("")
    with pytest.raises(DataError, match=r"data.root = 'a': is no folder .*Fetch it"):
        found_folder("a", "data.root", "Fetch it.")
