"""Tables of every kind are written again with gaps filled: the rest keeps its characters."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmvae.data.file_formats import open_stream
from mmvae.data.file_formats.json_edit import edited_object, edited_value
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import ColumnType

ODD = (
    '{"a" : 1.10,"big": 1e400, "id": 12345678901234567890123, "e":1E2, "m":-0.0, '
    '"t":"\\u00e9\\/", "d":{"x":1.10, "y":[ ]}, "c": null,"l":[1.0, 2.50 ,null]  }'
)
"""An object in which JSON is written in ways that Python does not write it."""


def filled(path: Path, values: dict[str, dict[int, Any]], wanted: dict[str, Any]) -> Path:
    """The path of the table with values in some gaps."""
    stream = open_stream(path, wanted)
    out = path.with_name(f"out{path.suffix}")
    types = {name: pa.bool_() for name in values}
    with stream.writer(out, types, {}) as writer:
        for rows in stream.chunks(1000):
            writer.write(rows, values, {})
    return out


def test_of_an_object_nothing_changes_but_what_is_filled() -> None:
    assert edited_object(ODD, {}, {}) == ODD
    found = edited_object(ODD, {"c": "x", "l": [1, 2, 3.5], "new": 7}, {"c_filled": True})
    wanted = ODD.replace('"c": null', '"c": "x"').replace("2.50 ,null]", "2.50 ,3.5]")
    assert found == wanted.replace("]  }", '], "new": 7, "c_filled": true  }')
    assert edited_object("{}", {}, {"a": 1}) == '{"a": 1}'
    assert edited_object("{ }", {"b": None}, {}) == '{"b": null }'
    assert edited_value(" [[1.10, null], [NaN]]", [[1.1, 2], [3]]) == " [[1.10, 2], [3]]"
    assert edited_value("null", [1]) == "[1]"
    assert edited_value("[1, 2]", [1]) == "[1]"


@pytest.mark.parametrize("ending", [".jsonl", ".json"])
def test_cells_of_json_that_are_not_filled_keep_their_text(tmp_path: Path, ending: str) -> None:
    lines = [ODD, ODD.replace('"c": null', '"c":"y"')]
    text = "\n".join(lines) if ending == ".jsonl" else f"[{lines[0]} ,{lines[1]}]"
    path = tmp_path / f"t{ending}"
    path.write_text(text, encoding="utf-8")
    out = filled(path, {"c": {0: "x"}}, {}).read_text(encoding="utf-8")
    first = ODD.replace('"c": null', '"c": "x"')
    wanted = f"{first}\n{lines[1]}\n" if ending == ".jsonl" else f"[\n{first},\n{lines[1]}\n]\n"
    assert out == wanted


def test_cells_of_csv_that_are_not_filled_keep_their_text(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,"b",v,c\n1.10,"1e400","[1.10, null]",\n"01",+7,"[2, 3]",1\n', "utf-8")
    out = filled(path, {"v": {0: [1.1, 2.5]}, "c": {0: 0}}, {}).read_text("utf-8")
    assert out == 'a,"b",v,c\n1.10,"1e400","[1.10, 2.5]",0\n"01",+7,"[2, 3]",1\n'


@pytest.mark.parametrize("pair", [("false", "true"), ("FALSE", "TRUE"), ("False", "True")])
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet", ".arrow"])
@pytest.mark.parametrize("digits", [False, True])
def test_booleans_in_a_column_of_texts_are_written_as_the_others(
    tmp_path: Path, pair: tuple[str, str], ending: str, digits: bool
) -> None:
    """A model of booleans fills a column in which they are texts."""
    pair = ("0", "1") if digits else pair
    texts = [pair[1], None, pair[0], None]
    path, table = tmp_path / f"t{ending}", pa.table({"i": [0, 1, 2, 3], "c": texts})
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    elif ending == ".csv":
        path.write_text("i,c\n" + "".join(f"{i},{t or ''}\n" for i, t in enumerate(texts)))
    elif ending == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    wanted = {"c": ColumnType("boolean")}
    (rows,) = open_stream(path, wanted).chunks(10)
    assert rows.values("c") == [True, None, False, None]
    out = filled(path, {"c": {1: False, 3: True}}, wanted)
    if ending == ".jsonl":
        found = [json.loads(line)["c"] for line in out.read_text().splitlines()]
    elif ending == ".csv":
        found = [line.split(",")[1] for line in out.read_text().splitlines()[1:]]
    elif ending == ".parquet":
        found = pq.read_table(out)["c"].to_pylist()
    else:
        with pa.memory_map(str(out)) as source:
            found = pa.ipc.open_file(source).read_all()["c"].to_pylist()
    assert found == [pair[1], pair[0], pair[0], pair[1]]


def test_dictionaries_of_numbers_stay_dictionaries(tmp_path: Path) -> None:
    """In Arrow files; of Parquet files Arrow itself reads the numbers alone."""
    held = pa.array([10, None, 30, 10], pa.int16()).dictionary_encode()
    table = pa.table({"c": held, "other": held})
    path = tmp_path / "t.arrow"
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    for value, kind in ((30, pa.int16()), (2.5, pa.float64())):
        stream = open_stream(path)
        out = tmp_path / f"{kind}.arrow"
        with stream.writer(out, {"c": kind}, {}) as writer:
            for rows in stream.chunks(1000):
                writer.write(rows, {"c": {1: value}}, {})
        with pa.memory_map(str(out)) as source:
            found = pa.ipc.open_file(source).read_all()
        assert found["c"].to_pylist() == [10, value, 30, 10]
        assert found["other"].combine_chunks().equals(table["other"].combine_chunks())
        assert found.schema.field("c").type == pa.dictionary(pa.int32(), kind)


def filled_in(tmp_path: Path, column: pa.Array, value: Any, ending: str = ".parquet") -> list[Any]:
    """The values of a column whose row 1 is filled."""
    path, table = tmp_path / f"t{ending}", pa.table({"c": column})
    if ending == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
    stream, out = open_stream(path), tmp_path / f"out{ending}"
    with stream.writer(out, {"c": pa.array([value]).type}, {}) as writer:
        for rows in stream.chunks(1000):
            writer.write(rows, {"c": {1: value}}, {})
    if ending == ".parquet":
        return list(pq.read_table(out)["c"].to_pylist())
    with pa.memory_map(str(out)) as source:
        read = pa.ipc.open_file(source).read_all()
        assert read.schema == table.schema
        return list(read["c"].to_pylist())


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("kind", "value", "largest"),
    [(pa.float16(), -70000.0, "65504"), (pa.float32(), 4e38, "3.40282e+38")],
)
def test_a_number_beyond_the_range_of_a_type_of_floats_is_refused(
    tmp_path: Path, kind: pa.DataType, value: float, largest: str, listed: bool
) -> None:
    """Arrow would write it as infinite without a message."""

    def cells(x: Any) -> Any:
        return None if x is None else [x] if listed else x

    column = pa.array([cells(1.0), None], pa.list_(kind) if listed else kind)
    with pytest.raises(DataError) as error:
        filled_in(tmp_path, column, cells(value))
    named = f"the model fills in {value:g}, expected a number from -{largest} to {largest}"
    assert named in " ".join(str(error.value).split())
    assert filled_in(tmp_path, column, cells(2.0)) == [cells(1.0), cells(2.0)]


@pytest.mark.parametrize(("kind", "most"), [(pa.decimal128(3, 1), 2), (pa.decimal256(3, -2), 5)])
def test_a_number_of_too_many_digits_for_decimals_is_refused(
    tmp_path: Path, kind: pa.DataType, most: int
) -> None:
    column = pa.array([Decimal(0), None], pa.decimal128(5, 0)).cast(kind)
    largest = float(10**most) * 0.99
    assert filled_in(tmp_path, column, largest, ".arrow")[1] == Decimal(largest)
    wanted = rf"c': the model fills in {float(10**most)}, .* at most {most} digits before the poi"
    with pytest.raises(DataError, match=wanted):
        filled_in(tmp_path, column, float(10**most), ".arrow")


@pytest.mark.parametrize(("kind", "value"), [(pa.string_view(), "b"), (pa.binary_view(), b"b")])
def test_views_of_texts_and_bytes_are_filled(
    tmp_path: Path, kind: pa.DataType, value: Any
) -> None:
    first = "long enough to be no inlined view"
    first = first.encode() if isinstance(value, bytes) else first
    found = filled_in(tmp_path, pa.array([first, None, value], kind), value, ".arrow")
    assert found == [first, value, value]
