"""``mmvae embed`` writes posterior means of a split or a file, in every format."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from toys import ToySource, toy_items, toy_registry

from mmvae.inference.model_folder import load_model


@pytest.fixture
def run(toy_plugin, toy_run, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return toy_run


@pytest.fixture
def expected(toy_run) -> np.ndarray:
    """Means of the joint posterior of the test split."""
    model = load_model(toy_run, toy_registry())
    return model.embed(ToySource(ToySource.Config()).splits()["test"]).numpy()


@pytest.fixture
def table() -> dict[str, list]:
    items = toy_items(5, seed=3)
    return {"v": items["v"].tolist(), "c": items["c"].tolist(), "w": items["w"].tolist()}


def test_a_split_in_every_format(mmvae, run, expected) -> None:
    for ending in ("parquet", "csv", "jsonl", "npz"):
        result = mmvae("embed", run, "test", "--out", f"z.{ending}")
        assert (result.code, result.out) == (0, "")
        assert result.err == f"Wrote z.{ending}: 20 items, 2 dimensions\n"
    found = pyarrow.parquet.read_table("z.parquet").to_pydict()
    assert list(found) == ["id", "z_000", "z_001"]
    assert found["id"] == list(range(80, 100)), "the ids of the source"
    assert np.array_equal(np.array([found["z_000"], found["z_001"]]).T, expected)
    with open("z.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "z_000", "z_001"]
    assert np.array_equal(np.array(rows[1:], float)[:, 1:], expected)
    lines = [json.loads(line) for line in Path("z.jsonl").read_text().splitlines()]
    assert np.array_equal([[r["z_000"], r["z_001"]] for r in lines], expected)
    arrays = np.load("z.npz")
    assert np.array_equal(arrays["z"], expected)
    assert arrays["id"].tolist() == found["id"]


def test_a_file_with_all_or_some_modalities(mmvae, run, toy_run, table) -> None:
    model = load_model(toy_run, toy_registry())
    pyarrow.parquet.write_table(pyarrow.table(table), "all.parquet")
    Path("v.jsonl").write_text("".join(json.dumps({"v": v}) + "\n" for v in table["v"]))
    Path("c.csv").write_text("c\n" + "\n".join(map(str, table["c"])) + "\n")
    for name, given in (("all.parquet", None), ("v.jsonl", ["v"]), ("c.csv", ["c"])):
        result = mmvae("embed", run, name, "--out", "z.npz")
        assert result.code == 0
        *told, wrote = result.err.splitlines()
        assert wrote == "Wrote z.npz: 5 items, 2 dimensions"
        lacking = ", ".join(m for m in ("v", "c", "p") if given is not None and m not in given)
        assert told == [f"{name}: no column for {lacking}, so this is of {m}" for m in given or ()]
        z = model.embed({k: np.array(v) for k, v in table.items()}, given)
        assert np.array_equal(np.load("z.npz")["z"], z.numpy()), name


def test_json_says_what_was_written(mmvae, run) -> None:
    result = mmvae("embed", run, "test", "--given", "p,c", "--out", "z.npz", "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == {
        "modalities": ["c", "p"],
        "items": 20,
        "dimensions": 2,
        "out": "z.npz",
    }


def test_given_restricts_what_is_looked_at(mmvae, run, toy_run, table) -> None:
    pyarrow.parquet.write_table(pyarrow.table(table), "all.parquet")
    mmvae("embed", run, "all.parquet", "--given", "p,c", "--out", "z.npz")
    model = load_model(toy_run, toy_registry())
    z = model.embed({k: np.array(v) for k, v in table.items()}, ["c", "p"])
    assert np.array_equal(np.load("z.npz")["z"], z.numpy())


MISTAKES = [
    (("test", "--out", "z.txt"), "expected one of .parquet, .csv, .jsonl, .npz"),
    (("test", "--out", "nowhere/z.csv"), "there is no folder nowhere"),
    (("tset", "--out", "z.csv"), "neither a split (train, validation, test) nor a file"),
    (("nowhere.parquet", "--out", "z.csv"), "neither a split"),
    (
        ("other.csv", "--out", "z.csv"),
        "none of the columns a, b is a modality; expected some of",
    ),
    (("bad.csv", "--out", "z.csv"), "class 9, expected one of red, green, blue"),
    (("bad.csv", "--given", "v", "--out", "z.csv"), "no column 'v' for modality 'v'"),
    (("test", "--given", "x", "--out", "z.csv"), "Unknown modality 'x'"),
    (("torn.parquet", "--out", "z.csv"), "torn.parquet cannot be read as a table"),
    (("text.txt", "--out", "z.csv"), "text.txt: unknown ending"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_mistakes_end_with_2_and_write_nothing(mmvae, run, table, arguments, message: str) -> None:
    Path("other.csv").write_text("a,b\n1,2\n")
    Path("bad.csv").write_text("c\n0\n9\n")
    Path("text.txt").write_text("nothing")
    pyarrow.parquet.write_table(pyarrow.table(table), "torn.parquet")
    Path("torn.parquet").write_bytes(Path("torn.parquet").read_bytes()[:50])
    before = sorted(Path().iterdir())
    result = mmvae("embed", run, *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert sorted(Path().iterdir()) == before


def test_the_value_at_fault_is_named(mmvae, run) -> None:
    Path("bad.csv").write_text("c\n0\n9\n")
    error = mmvae("embed", run, "bad.csv", "--out", "z.csv").err
    assert "bad.csv" in error
    assert "item 1" in error
    assert "modality 'c'" in error


def test_a_model_folder_has_no_splits_but_takes_files(mmvae, run, table) -> None:
    pyarrow.parquet.write_table(pyarrow.table(table), "all.parquet")
    assert mmvae("embed", run / "model", "all.parquet", "--out", "z.npz").code == 0
    result = mmvae("embed", run / "model", "test", "--out", "y.npz")
    assert result.code == 2
    assert "is no run folder" in result.err


def test_data_that_changed_since_the_training_are_remarked(mmvae, run, tmp_path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    env = json.loads((copy / "env.json").read_text())
    env["data"]["fingerprint"] = "another"
    (copy / "env.json").write_text(json.dumps(env))
    result = mmvae("embed", copy, "test", "--out", "z.npz")
    assert result.code == 0
    assert f"The data have changed since {copy} was trained" in result.err


def test_items_with_nothing_stand_at_the_mean_of_the_prior(mmvae, run, table) -> None:
    rows = [{"v": v, "c": c} for v, c in zip(table["v"], table["c"], strict=True)]
    rows[1] = {"v": None, "c": None}
    Path("gaps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = mmvae("embed", run, "gaps.jsonl", "--out", "z.npz")
    assert result.code == 0
    assert result.err.splitlines() == [
        "gaps.jsonl: no column for p, so this is of v, c",
        "Wrote z.npz: 5 items, 2 dimensions",
        "1 items have no modality: their z is the mean of the prior.",
    ]
    z = np.load("z.npz")["z"]
    assert z[1].tolist() == [0, 0]
    assert z[[0, 2, 3, 4]].all()
    result = mmvae("embed", run, "gaps.jsonl", "--out", "again.npz", "--json")
    assert result.json()["from the prior"] == 1


def test_a_files_own_ids_are_written(mmvae, run, table) -> None:
    names = ["zz", "yy", "xx", "ww", "vv"]
    pyarrow.parquet.write_table(pyarrow.table(table | {"id": names}), "named.parquet")
    assert mmvae("embed", run, "named.parquet", "--out", "z.csv").code == 0
    written = Path("z.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in written] == names


@pytest.mark.parametrize(
    ("ids", "written", "told"),
    [
        (["A", "B", None, "C", ""], None, "has no value in row 2 and 1 others, so the ids in"),
        ([None] * 5, None, "has no value in row 0 and 4 others, so the ids in"),
        ([[1], [2], [3], [4], [5]], None, "holds no texts or numbers, so the ids in"),
        ([{"a": 1}] * 5, None, "holds no texts or numbers, so the ids in"),
        (["A", "B", "A", "B", "A"], 1, "3 rows have the id 'A'; in all, 3 rows have the id of an"),
        ([7, 7, 8, 9, 10], 1, "2 rows have the id '7'; in all, 1 rows have the id of an earlier"),
    ],
)
def test_ids_that_do_not_name_each_row_are_reported(mmvae, run, table, ids, written, told) -> None:
    pyarrow.parquet.write_table(pyarrow.table(table | {"id": ids}), "t.parquet")
    for command in (
        ("embed", run, "t.parquet"),
        ("score", run, "t.parquet", "--samples", "2"),
        ("retrieve", run, "t.parquet", "--query", "v", "--from", "c", "--count", "1"),
    ):
        result = mmvae(*command, "--out", "z.jsonl")
        assert result.code == 0
        assert f"t.parquet: the column 'id' {told}" in result.err or (
            f"t.parquet: {told}" in result.err
        )
        found = [json.loads(line)["id"] for line in Path("z.jsonl").read_text().splitlines()]
        assert found == (ids if written else list(range(5)))
