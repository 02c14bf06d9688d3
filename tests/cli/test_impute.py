"""``mmvae impute``: tables filled in every format, the rest as it was, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from toys import NAMES, toy_items

import mmvae.inference.table_imputation as imputation
from mmvae.foundations import operations


@pytest.fixture
def run(toy_plugin: None, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return toy_run


def rows(n: int = 12) -> list[dict[str, Any]]:
    """Every third row lacks c, every fourth v; row 0 lacks all."""
    x = toy_items(n, seed=3)
    return [
        {
            "name": f"row {i}, 0{i}",
            "c": NAMES[x["c"][i]] if i % 3 else None,
            "v": x["v"][i].tolist() if i % 4 else None,
            "w": x["w"][i].tolist() if i else None,
            "when": 1.10,
        }
        for i in range(n)
    ]


def check(found: list[dict[str, Any]], given: list[dict[str, Any]]) -> None:
    """What was there is the same; what was not is filled, and said to be."""
    assert len(found) == len(given)
    for new, old in zip(found, given, strict=True):
        assert new["name"] == old["name"]
        assert new["when"] == old["when"]
        for column in ("c", "v", "w"):
            if old[column] is None:
                assert new[column] is not None
            else:
                assert new[column] == old[column]
            marks = new[f"{column}_filled"]
            assert marks == ((old[column] is None) if column == "c" else [old[column] is None] * 3)
    right = [new["c"] in NAMES for new in found]
    assert all(right)


def test_parquet_in_chunks_with_everything_else_as_it_was(
    mmvae: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imputation, "CHUNK", 5)
    table = pa.Table.from_pylist(rows())
    pq.write_table(table, "t.parquet")
    result = mmvae("impute", run, "t.parquet", "--out", "f.parquet")
    assert result.code == 0, result.err
    assert "Wrote f.parquet: 12 rows; filled v: 3, c: 4, p: 1" in result.err
    assert "1 rows had no modality: they were filled from the prior." in result.err
    found = pq.read_table("f.parquet")
    check(found.to_pylist(), rows())
    assert found.schema.names[:5] == table.schema.names
    assert found.schema.types[:5] == table.schema.types
    assert sorted(p.name for p in Path().iterdir()) == ["f.parquet", "t.parquet"]


def test_arrow_files_and_streams(mmvae: Any, run: Path) -> None:
    table = pa.Table.from_pylist(rows())
    for name, make in (("file", pa.ipc.new_file), ("stream", pa.ipc.new_stream)):
        with make(f"{name}.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=5)
        assert mmvae("impute", run, f"{name}.arrow", "--out", f"{name}-f.arrow").code == 0
        with pa.memory_map(f"{name}-f.arrow") as source:
            check(pa.ipc.open_file(source).read_all().to_pylist(), rows())


def test_json_lines(mmvae: Any, run: Path) -> None:
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows()))
    assert mmvae("impute", run, "t.jsonl", "--out", "f.jsonl").code == 0
    check([json.loads(line) for line in Path("f.jsonl").read_text().splitlines()], rows())


def test_csv_keeps_what_was_written(mmvae: Any, run: Path) -> None:
    x = toy_items(6, seed=3)
    codes = [str(code) if i % 2 else "NA" for i, code in enumerate(x["c"])]
    with Path("t.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "c", "note"])
        writer.writerows([f"00{i}", codes[i], "1.10" if i else ""] for i in range(6))
    result = mmvae("impute", run, "t.csv", "--out", "f.csv")
    assert result.code == 0, result.err
    assert "Left out, because they have no column: v, p" in result.err
    with Path("f.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert found[0] == ["id", "c", "note", "c_filled"]
    for i, (number, code, remark, filled) in enumerate(found[1:]):
        assert (number, remark) == (f"00{i}", "1.10" if i else "")
        assert filled == str(i % 2 == 0)
        assert code == codes[i] if i % 2 else code in ("0", "1", "2")
    Path("e.csv").write_text("c,v\n1,\n2,\n")
    result = mmvae("impute", run, "e.csv", "--out", "f2.csv")
    assert result.code == 0, result.err
    with Path("f2.csv").open(newline="") as file:
        _, *filled = csv.reader(file)
    assert [len(json.loads(cells[1])) for cells in filled] == [3, 3]
    assert [json.loads(cells[2]) for cells in filled] == [[True] * 3] * 2


def test_csv_of_a_spreadsheet_with_what_is_there_as_it_was_written(mmvae: Any, run: Path) -> None:
    Path("t.csv").write_bytes("c,id\n1,007\n,1.10\n2,é\n\n\n".encode("utf-8-sig"))
    assert mmvae("impute", run, "t.csv", "--out", "f.csv").code == 0
    found = Path("f.csv").read_text(encoding="utf-8").splitlines()
    assert found[0] == "c,id,c_filled"
    assert found[1] == "1,007,False"
    assert found[2][1:] == ",1.10,True"
    assert found[3] == "2,é,False"
    Path("t.jsonl").write_text('{"c": null}\n', encoding="utf-8-sig")
    assert mmvae("impute", run, "t.jsonl", "--out", "f.jsonl").code == 0


def test_an_empty_column_gets_the_type_of_what_fills_it(mmvae: Any, run: Path) -> None:
    given = rows()
    table = pa.table({"c": [row["c"] for row in given], "v": pa.nulls(12), "w": pa.nulls(12)})
    pq.write_table(table, "t.parquet")
    assert mmvae("impute", run, "t.parquet", "--out", "f.parquet").code == 0
    found = pq.read_table("f.parquet")
    assert found["v"].type == pa.list_(pa.float64())
    assert found["v_filled"].to_pylist() == [[True] * 3] * 12
    assert Image.open(io.BytesIO(found["w"][3].as_py())).size == (3, 1)  # p is shown as pictures
    assert all(found["w_filled"].to_pylist())


def test_whole_numbers_in_lists_are_not_what_is_filled_cut_to(mmvae: Any, run: Path) -> None:
    x = toy_items(6, seed=3)
    whole = [None if i % 2 else x["v"][i].round().astype(int).tolist() for i in range(6)]
    kind = pa.list_(pa.int64())
    pq.write_table(pa.table({"c": x["c"], "v": pa.array(whole, kind)}), "t.parquet")
    assert mmvae("impute", run, "t.parquet", "--out", "f.parquet").code == 0
    found = pq.read_table("f.parquet")["v"]
    assert found.type == pa.list_(pa.float64())
    assert found.to_pylist()[::2] == whole[::2]
    assert any(cell != round(cell) for row in found.to_pylist()[1::2] for cell in row)


def test_codes_of_classes_stay_codes(mmvae: Any, run: Path) -> None:
    x = toy_items(8, seed=3)
    codes = [int(code) if i % 2 else None for i, code in enumerate(x["c"])]
    table = pa.table({"c": pa.array(codes, pa.int8()), "v": x["v"].tolist(), "w": x["w"].tolist()})
    pq.write_table(table, "t.parquet")
    assert mmvae("impute", run, "t.parquet", "--out", "f.parquet").code == 0
    found = pq.read_table("f.parquet")["c"]
    assert found.type == pa.int8()
    assert set(found.to_pylist()) <= {0, 1, 2}


def test_no_gaps_says_so(mmvae: Any, run: Path) -> None:
    x = toy_items(4, seed=3)
    pq.write_table(pa.table({m: x[m].tolist() for m in ("v", "w", "c")}), "t.parquet")
    result = mmvae("impute", run, "t.parquet", "--out", "f.parquet")
    assert result.code == 0
    assert "no value is missing, so nothing was filled" in result.err
    result = mmvae("impute", run, "t.parquet", "--out", "g.parquet", "--json")
    assert result.json() == {
        "rows": 4,
        "filled": {"v": 0, "c": 0, "p": 0},
        "filled in part": {"v": 0, "c": 0, "p": 0},
        "from the prior": 0,
        "out": "g.parquet",
    }


def test_samples_depend_on_the_seed_alone(mmvae: Any, run: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), "t.parquet")
    found = []
    for i, seed in enumerate((1, 1, 2)):
        mmvae(
            "impute", run, "t.parquet", "--by", "sample", "--seed", seed, "--out", f"{i}.parquet"
        )
        found.append(pq.read_table(f"{i}.parquet")["v"].to_pylist())
    assert found[0] == found[1] != found[2]


BAD = [
    ("t.parquet", {"v": [1.0], "v_filled": [1]}, "there is a column 'v_filled' already"),
    ("t.parquet", {"x": [1]}, "none of the columns x is a modality"),
    ("t.parquet", {"c": ["rde", None]}, "item 0, modality 'c': got class rde"),
    ("t.parquet", {"v": ["text", None]}, "modality 'v': got"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[m for _, _, m in BAD])
def test_bad_columns(mmvae: Any, run: Path, name: str, content: Any, message: str) -> None:
    pq.write_table(pa.table(content), name)
    result = mmvae("impute", run, name, "--out", "f.parquet")
    assert result.code == 2
    assert message in result.err
    assert [p.name for p in Path().iterdir()] == [name]


def test_bad_places(mmvae: Any, run: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), "t.parquet")
    Path("there.parquet").write_bytes(b"")
    for data, out, message in (
        ("t.parquet", "f.csv", "expected the ending .parquet"),
        ("t.parquet", "there.parquet", "exists already"),
        ("t.parquet", "no/f.parquet", "there is no folder no"),
        ("nothing.parquet", "f.parquet", "nothing.parquet: no such file"),
        ("t.xlsx", "f.xlsx", "unknown ending '.xlsx'"),
        ("there.parquet", "f.parquet", "there.parquet cannot be read as a table"),
    ):
        result = mmvae("impute", run, data, "--out", out)
        assert result.code == 2
        assert message in result.err, message
    whole = Path("t.parquet").read_bytes()
    Path("t.parquet").write_bytes(whole[: len(whole) // 2])
    assert (
        "cannot be read as a table" in mmvae("impute", run, "t.parquet", "--out", "f.parquet").err
    )
    assert not Path("f.parquet").exists()


def test_pictures_of_a_table_that_did_not_come_are_made_again(
    mmvae: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("t.csv").write_text(f"c,w\n{NAMES[0]},\n{NAMES[1]},\n")

    def end(operation: str, *paths: Path) -> None:
        if operation == "rename" and paths[1].name == "f.csv":
            raise Killed

    class Killed(BaseException):
        pass

    with monkeypatch.context() as killing:
        killing.setattr(operations, "fault", end)
        with pytest.raises(Killed):
            mmvae("impute", run, "t.csv", "--out", "f.csv")
    assert sorted(p.name for p in Path().iterdir()) == ["f_pictures", "t.csv"]
    other = mmvae("impute", run, "t.csv", "--out", "../f.csv")  # another place, another folder
    assert other.code == 0
    assert mmvae("impute", run, "t.csv", "--out", "f.csv").code == 0
    assert sorted(p.name for p in Path("f_pictures").iterdir()) == ["w-0.png", "w-1.png"]
    assert "f_pictures/w-1.png" in Path("f.csv").read_text()
    Path("f.csv").unlink()
    again = mmvae("impute", run, "t.csv", "--out", "f.csv")  # the pictures may be of use
    assert again.code == 2
    assert "f_pictures, which exists already" in again.err
    assert sorted(p.name for p in Path("f_pictures").iterdir()) == ["w-0.png", "w-1.png"]


def test_means_of_a_class_are_its_likeliest(mmvae: Any, run: Path) -> None:
    pq.write_table(pa.Table.from_pylist(rows()), "t.parquet")
    assert mmvae("impute", run, "t.parquet", "--by", "mean", "--out", "f.parquet").code == 0
    found = pq.read_table("f.parquet")["c"].to_pylist()
    truth = [NAMES[c] for c in toy_items(12, seed=3)["c"]]
    assert np.mean([a == b for a, b in zip(found[1:], truth[1:], strict=True)]) > 0.8
