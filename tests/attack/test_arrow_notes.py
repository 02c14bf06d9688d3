"""Arrow and Parquet files whose descriptions of columns are damaged: one message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmvae.data.columns import table_split
from mmvae.data.dataset import check_names
from mmvae.data.file_formats import open_stream
from mmvae.data.table import load_tables
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import Column

VALUE = {"dtype": "float64", "_type": "Value"}
HUGE = 10**30
NOTES: dict[str, dict[str, Any]] = {
    "a decimal": {"v": {"dtype": f"decimal128({HUGE}, 2)", "_type": "Value"}},
    "the length of a list": {"v": {"feature": VALUE, "length": HUGE, "_type": "List"}},
    "names that are lists": {"c": {"names": ["a", [2]], "_type": "ClassLabel"}},
    "names that are numbers": {"c": {"names": [1, 2], "_type": "ClassLabel"}},
    "a name that is null": {"c": {"names": [None, "b"], "_type": "ClassLabel"}},
    "one text for names": {"c": {"names": "ab", "_type": "ClassLabel"}},
    "a number for names": {"c": {"names": 5, "_type": "ClassLabel"}},
    "deep features": {"v": {"feature": json.loads("[" * 900 + "]" * 900), "_type": "List"}},
}
ARRAY = "datasets.features.features.Array2DExtensionType"
EXTENSIONS = {
    "a number": b"5",
    "an object": b"{}",
    "brackets": b"[" * 3000,
    "a number for the type": b"[[1, 1], 5]",
    "a huge decimal": b'[[1, 1], "decimal128(%d, 2)"]' % HUGE,
    "another shape": b'[[2, 3], "float64"]',
    "a huge shape": b'[[%d, 1], "float64"]' % HUGE,
    "texts for the shape": b'[["a", 1], "float64"]',
}


def saved(path: Path, table: pa.Table) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path)
        return path
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def read(path: Path) -> None:
    """Read all values of a file, as a command does."""
    for column in load_tables(str(path))["train"].columns.values():
        column.read()


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
@pytest.mark.parametrize("case", NOTES)
def test_a_damaged_note_of_datasets(tmp_path: Path, case: str, ending: str) -> None:
    table = pa.table({"c": [0, 1, 0, 1], "v": [1.0, 2.0, 3.0, 4.0]})
    features = {"c": {"dtype": "int64", "_type": "Value"}, "v": VALUE} | NOTES[case]
    note = json.dumps({"info": {"features": features}}).encode()
    path = saved(tmp_path / f"t{ending}", table.replace_schema_metadata({"huggingface": note}))
    with pytest.raises(DataError, match="what datasets noted of its columns is damaged"):
        read(path)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
@pytest.mark.parametrize("case", EXTENSIONS)
def test_a_damaged_type_of_arrays(tmp_path: Path, case: str, ending: str) -> None:
    cells = pa.array([[[float(i)]] for i in range(4)])
    metadata = {"ARROW:extension:name": ARRAY, "ARROW:extension:metadata": EXTENSIONS[case]}
    schema = pa.schema([pa.field("v", cells.type, metadata=metadata)])
    path = saved(tmp_path / f"t{ending}", pa.table([cells], schema=schema))
    with pytest.raises(DataError, match="cannot be read"):
        read(path)
    with pytest.raises(DataError, match="cannot be read"):  # as impute reads it
        [rows.raw("v") for rows in open_stream(path).chunks(10)]


@pytest.mark.parametrize("name", [[2], {"a": 1}, None, 3, "", "\ud800"])
def test_class_names_that_are_no_texts(name: Any) -> None:
    with pytest.raises(DataError, match="one of them .*, which is no name"):
        check_names("c", Column([0, 1], names=("a", name)))


def test_a_sound_note_is_read(tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "c": datasets.ClassLabel(names=["a", "b"]),
            "m": datasets.Array2D((2, 2), "float32"),
        }
    )
    items = {"c": [0, 1], "m": [[[1, 2], [3, 4]]] * 2}
    data = datasets.Dataset.from_dict(items, features=features)
    data.to_parquet(str(tmp_path / "t.parquet"))
    split = load_tables(str(tmp_path / "t.parquet"))["train"]
    assert split.columns["c"].names == ("a", "b")
    assert split.columns["m"].read().values.shape == (2, 2, 2)
    assert table_split(data, "data").columns["c"].names == ("a", "b")
