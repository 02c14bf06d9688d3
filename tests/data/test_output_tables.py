"""Tables are written whole or not at all, and read back as they were."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

import mmvae
from mmvae.data.output_tables import WRITERS, flat, write_table
from mmvae.foundations import operations
from mmvae.foundations.errors import DataError, TrainingError, UsageError

COLUMNS = {"id": ["a", "b"], "n": np.array([1, 2]), "z": torch.tensor([[0.1, 2.0], [3.0, -4.5]])}


def test_every_format_keeps_names_values_and_order(tmp_path) -> None:
    for ending in WRITERS:
        write_table(tmp_path / f"t{ending}", COLUMNS, spread=True)
    rows = {"id": ["a", "b"], "n": [1, 2]}
    z = {"z_000": COLUMNS["z"][:, 0].tolist(), "z_001": [2.0, -4.5]}
    assert pyarrow.parquet.read_table(tmp_path / "t.parquet").to_pydict() == rows | z
    lines = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert {name: [line[name] for line in lines] for name in lines[0]} == rows | z
    with open(tmp_path / "t.csv", newline="") as file:
        header, *values = csv.reader(file)
    assert header == list(rows | z)
    assert [float(v) for v in values[0][1:]] == [1, z["z_000"][0], 2.0]
    arrays = np.load(tmp_path / "t.npz", allow_pickle=False)
    assert list(arrays) == ["id", "n", "z"]
    assert np.array_equal(arrays["z"], COLUMNS["z"].numpy())
    assert arrays["id"].tolist() == ["a", "b"]


def test_texts_with_commas_quotes_and_lines_survive_csv(tmp_path) -> None:
    texts = ['a,"b"', "c\nd", "é"]
    write_table(tmp_path / "t.csv", {"text": texts})
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        assert [row[0] for row in csv.reader(file)] == ["text", *texts]


def test_wide_arrays_sort_by_name() -> None:
    names = list(flat({"z": np.zeros((1, 1001))}))
    assert (names[0], names[-1]) == ("z_0000", "z_1000")
    assert names == sorted(names)
    assert len(flat({"x": np.zeros((2, 3, 4))})) == 12


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl", ".npz"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_written(tmp_path, ending: str, bad: float) -> None:
    place = tmp_path / f"t{ending}"
    values = np.ones((4, 3), np.float32)
    values[1, 2] = values[3, 0] = bad
    with pytest.raises(TrainingError, match=r"'x' of row 1 would be .*for 2 of 4 rows"):
        write_table(place, {"id": ["a", "b", "c", "d"], "x": values})
    assert list(tmp_path.iterdir()) == []


def test_mixed_ids_become_text_not_pickles(tmp_path) -> None:
    write_table(tmp_path / "t.npz", {"id": np.array([1, "b", None], object)})
    assert np.load(tmp_path / "t.npz", allow_pickle=False)["id"].tolist() == ["1", "b", "None"]


@pytest.mark.parametrize("name", ["t.txt", "t", "t.CSVX", "nowhere/t.csv", "folder.csv"])
def test_places_that_cannot_be_are_refused(tmp_path, name: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="--out"):
        write_table(tmp_path / name, COLUMNS)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "rename"])
def test_a_failure_leaves_the_older_file(tmp_path, monkeypatch, operation: str) -> None:
    path = tmp_path / "t.csv"
    write_table(path, {"x": [1]})
    before = path.read_bytes()

    def fault(what: str, *paths: object) -> None:
        if what == operation:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(operations, "fault", fault)
    with pytest.raises(TrainingError, match="No space left on device"):
        write_table(path, COLUMNS)
    assert path.read_bytes() == before


@pytest.mark.parametrize("ending", sorted(WRITERS))
def test_capitals_of_an_ending_do_not_count(tmp_path: Path, ending: str) -> None:
    for file in (tmp_path / f"t{ending}", tmp_path / f"T{ending.upper()}"):
        write_table(file, {"x": np.arange(3)})
    one, other = ((tmp_path / name).read_bytes() for name in (f"t{ending}", f"T{ending.upper()}"))
    assert len(one) == len(other) > 0


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".npz"])
@pytest.mark.parametrize("columns", [{"name": ["a", "\ud800"]}, {"\ud800": ["a", "b"]}])
def test_half_a_character_is_told(tmp_path, ending, columns):
    path = tmp_path / f"out{ending}"
    if ending == ".npz" and "name" in columns:  # whose values may be any characters
        write_table(path, columns)
        return
    with pytest.raises(DataError, match="no valid Unicode"):
        write_table(path, columns)
    assert not path.exists()


def test_texts_are_checked_for_unicode_at_one_place():
    root = Path(mmvae.__file__).parents[1]
    sources = [*root.glob("mmvae/**/*.py"), *root.glob("plugins/*/mmvae_*/**/*.py")]
    sources += root.glob("plugins/*/mmvae_*.py")
    found = [s.name for s in sources if "except UnicodeEncodeError" in s.read_text()]
    assert found == ["printable.py"]
