"""Columns that an imputation refuses are reported before a training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mmvae
from mmvae.cli import main
from mmvae.data.fillable import is_large
from mmvae.foundations.errors import DataError
from mmvae.inference.table_imputation import impute_table

N = 40
NUMBERS = [i / 7 for i in range(N)]
LARGE = 2**53 + 1

SCALARS = pa.array([None, *range(LARGE, LARGE + N - 1)], pa.int64())
LISTS = pa.array([None if i % 5 == 0 else [LARGE + i, i] for i in range(N)], pa.list_(pa.int64()))
GAPS = pa.array([[None, LARGE] if i % 5 == 0 else [i, LARGE + i] for i in range(N)])


def told(columns: dict[str, Any], *modalities: str, capsys: Any) -> str:
    """What a check says of a table, if a training says the same."""
    pq.write_table(pa.table(columns), "t.parquet")
    sections = "".join(
        f"[modalities.{m}]\ncodec = 'vector'\nencoder = [4]\ndecoder = [4]\n" for m in modalities
    )
    Path("c.toml").write_text(
        f"[data]\nsource = 'table'\npath = 't.parquet'\n{sections}[model]\nlatent_dim = 1\n"
    )
    capsys.readouterr()
    assert main.run(["data", "check", "c.toml"]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert main.run(["train", "c.toml", "--run-dir", "run", "--max-steps", "1"]) == 0
    log = " ".join(Path("run", "log.txt").read_text("utf-8").split())
    for phrase in ("mmvae impute' gives to the marks", "mmvae impute' will refuse such a column"):
        assert (phrase in said) == (phrase in log)
    return said


def test_a_column_with_the_name_of_marks_is_reported(folder: Path, capsys: Any) -> None:
    said = told({"x": NUMBERS, "x_filled": NUMBERS}, "x", "x_filled", capsys=capsys)
    assert "the table has a column 'x_filled', the name that 'mmvae impute' gives" in said
    with pytest.raises(DataError, match="there is a column 'x_filled' already"):
        impute_table(mmvae.load("run"), Path("t.parquet"), Path("out.parquet"))


def test_a_column_of_two_modalities_is_reported(folder: Path, capsys: Any) -> None:
    grades = [None if i % 9 == 0 else i % 3 for i in range(N)]
    layers = "encoder = [4]\ndecoder = [4]\n"
    pq.write_table(pa.table({"x": NUMBERS, "g": grades}), "t.parquet")
    Path("c.toml").write_text(
        f"[data]\nsource = 'table'\npath = 't.parquet'\n[model]\nlatent_dim = 1\n"
        f"[modalities.x]\ncodec = 'vector'\n{layers}"
        f"[modalities.cls]\ncodec = 'categorical'\ncolumn = 'g'\n{layers}"
        f"[modalities.num]\ncodec = 'vector'\ncolumn = 'g'\n{layers}"
    )
    assert main.run(["data", "check", "c.toml"]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    assert "modality 'num' reads column 'g', too, so that 'mmvae impute' will refuse" in said
    assert main.run(["train", "c.toml", "--run-dir", "run", "--max-steps", "1"]) == 0
    assert "reads column 'g', too" in Path("run", "log.txt").read_text("utf-8")
    with pytest.raises(DataError, match="the modalities 'cls' and 'num' of the model read it"):
        impute_table(mmvae.load("run"), Path("t.parquet"), Path("out.parquet"))
    assert not Path("out.parquet").exists()


@pytest.mark.parametrize("column", [SCALARS, LISTS, GAPS, SCALARS.dictionary_encode()])
def test_large_whole_numbers_are_reported(folder: Path, column: Any, capsys: Any) -> None:
    said = told({"x": NUMBERS, "v": column}, "x", "v", capsys=capsys)
    assert "column 'v' has whole numbers beyond 2^53, whose last digits are lost" in said
    with pytest.raises(DataError, match="column 'v': its type .*int64.* has to become .*double"):
        impute_table(mmvae.load("run"), Path("t.parquet"), Path("out.parquet"))


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
@pytest.mark.parametrize(("codec", "gap"), [("text", ""), ("text", "b"), ("categorical", "")])
def test_texts_with_gaps_in_files_that_hold_no_empty_ones_are_reported(
    folder: Path, ending: str, codec: str, gap: str, capsys: Any
) -> None:
    """Of classes none is empty."""
    rows = [(i / 7, gap if i % 4 == 0 else "ab"[i % 2]) for i in range(N)]
    if ending == "jsonl":
        lines = [json.dumps({"x": x, "w": w or None}) for x, w in rows]
    else:
        between = {"csv": ",", "tsv": "\t"}[ending]
        lines = [f"x{between}w", *(f"{x}{between}{w}" for x, w in rows)]
    Path(f"t.{ending}").write_text("\n".join(lines) + "\n")
    layers = "encoder = [4]\ndecoder = [4]\n"
    Path("c.toml").write_text(
        f"[data]\nsource = 'table'\npath = 't.{ending}'\n[model]\nlatent_dim = 1\n"
        f"[modalities.x]\ncodec = 'vector'\n{layers}[modalities.w]\ncodec = '{codec}'\n{layers}"
    )
    capsys.readouterr()
    assert main.run(["data", "check", "c.toml"]) == 0
    said = " ".join("".join(capsys.readouterr()).split())
    phrase = "column 'w' has missing values, and a model may fill in empty texts"
    assert (phrase in said) == (codec == "text" and not gap and ending != "jsonl")


def test_small_whole_numbers_become_floats_and_this_is_reported(folder: Path, capsys: Any) -> None:
    column = pa.array([None, *range(N - 1)], pa.uint8())
    said = told({"x": NUMBERS, "v": column}, "x", "v", capsys=capsys)
    assert "mmvae impute" not in said
    assert main.run(["impute", "run", "t.parquet", "--out", "out.parquet"]) == 0
    assert "The type of column 'v' is now double, not uint8: the" in capsys.readouterr().err
    assert pq.read_table("out.parquet")["v"].to_pylist()[1:] == list(range(N - 1))


@pytest.mark.parametrize(
    ("values", "large"),
    [
        (np.array([2**53, -(2**53)]), False),
        (np.array([[1, -(2**53) - 1]]), True),
        (np.array([2**64 - 1], np.uint64), True),
        (np.array([1e300]), False),
        (np.zeros((0, 2), int), False),
        ([[1, None], [None, 2**53 + 1]], True),
        ([[1.5, None], 2**53], False),
        (np.array([2**70, None], object), True),
    ],
)
def test_what_floats_do_not_hold(values: Any, large: bool) -> None:
    assert is_large(values) == large
