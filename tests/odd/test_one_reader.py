"""One reader: a file means the same in training and to every command, whatever is in it."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import mmvae
from mmvae.data.columns import table_split
from mmvae.data.file_formats import open_stream
from mmvae.data.file_formats.csv_cells import records, text_of
from mmvae.data.in_memory import as_column
from mmvae.data.size_bounds import Bounds
from mmvae.data.table import TableConfig, TableSource
from mmvae.data.table_reader import read_table, read_tables
from mmvae.foundations.errors import DataError
from mmvae.inference.table_imputation import impute_table
from mmvae.modalities.column_type import ColumnType
from odd.conftest import LABEL, VECTOR, Train
from odd.tables import read, write

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".arrow")


def kinds(text: str) -> dict[str, str]:
    """How the columns of a CSV file are read."""
    Path("t.csv").write_text(text, "utf-8", newline="")
    stream = open_stream(Path("t.csv"))
    return {name: stream.types[name].kind for name in stream.names}


def values(path: Path, name: str = "a", **keys: Any) -> list[Any]:
    stream = open_stream(path, **keys)
    return [value for rows in stream.chunks(3) for value in rows.values(name)]


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        ("1 2 -3 0", "integer"),
        ("1  2", "integer"),  # an empty cell is missing
        ("1 NA 2 nan", "integer"),
        ("01 2", "text"),
        ("+1 2", "text"),
        ("-0 1", "text"),
        ("1_0 2", "text"),
        ("１ 2", "text"),
        ("9223372036854775807", "integer"),
        ("9223372036854775808", "text"),
        ("1.5 2 1e-3 .5 -inf", "number"),
        ("1.0 2.0", "number"),
        ("1.0 2", "text"),
        ("1e3 2e3", "text"),
        ("1e999 1.5", "text"),
        ("01.5 2.5", "text"),
        ("0x10 1", "text"),
        ("True False", "boolean"),
        ("true true", "boolean"),
        ("True TRUE", "text"),
        ("True 1", "text"),
        ("None NA", "null"),
        ("[1] [2.5]", "list"),
        ("[[1]] [[null]]", "list"),
        ("[1] [[2]]", "text"),
        ("[a]", "text"),
        ("2020-01-02 2021-03-04", "text"),
        ("None a", "text"),
    ],
)
def test_all_cells_of_a_column_say_what_it_is(folder: Path, cells: str, kind: str) -> None:
    lines = "".join(f"{cell},\n" for cell in cells.split(" "))
    assert kinds(f"a,b\n{lines}") == {"a": kind, "b": "null"}


def test_so_do_cells_that_come_late(folder: Path) -> None:
    """Two cohorts, one below the other, of which the first lacks the label."""
    (folder / "t.csv").write_text("x,a\n" + "1,\n" * 15_000 + "1,A\n2,7\n" * 10)
    assert set(values(folder / "t.csv")) == {None, "A", "7"}
    (folder / "t.csv").write_text("x,a\n" + "1,1\n" * 15_000 + "1,?\n")
    assert set(values(folder / "t.csv")) == {"1", "?"}


def test_quoted_null_words_are_texts_and_others_are_missing(folder: Path) -> None:
    (folder / "t.csv").write_text('a\n"NA"\nNA\nb\n""\n"b ""c"""\n')
    assert values(folder / "t.csv") == ["NA", None, "b", None, 'b "c"']
    declared = {"a": ColumnType("text", frozenset({"NA"}))}
    assert values(folder / "t.csv", types=declared) == ["NA", "NA", "b", None, 'b "c"']


cells = st.one_of(
    st.none(),
    st.text("ab\"',\n\r é[]0NA", max_size=4),
    st.sampled_from(["NA", "1", "True", "[1]"]),
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(cells, min_size=1, max_size=6), st.sampled_from(ENDINGS))
def test_a_table_is_the_stream_of_its_rows(folder: Path, found: list[Any], ending: str) -> None:
    path = write(folder / f"t{ending}", {"a": [*found, "end"], "b": [1, *range(len(found))]})
    reading = read_table([path])
    columns = table_split(reading.table, "t", reading.types).columns
    stream = open_stream(path)
    for name, column in columns.items():
        streamed = as_column(values(path, name), "t")
        assert column.type == stream.types[name]
        assert np.array_equal(column.rows, streamed.rows)
        theirs, ours = (c.without_missing().read().values for c in (column, streamed))
        assert list(theirs) == list(ours)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "a,a\n1,2\n", "line 1: two columns are called 'a'"),
        ("t.csv", "a,b\n1,2\n3\n", "line 3: 1 values, expected 2"),
        ("t.csv", 'a,b\n1,"2\n3,4\n', "line 2: the quote of cell 2 is never closed"),
        ("t.csv", 'a,b\n"1"x,2\n', "line 2: 'x,2.*follows the closed quote of cell 1"),
        ("t.csv", "a,b\n1,\0\n", "line 2: a NUL character"),
        ("t.jsonl", '{"a": 1}\n{"a": "x"}\n', r"'a': .* integer \(line 1\) and text \(line 2\)"),
        ("t.jsonl", '{"a": 1, "a": 2}\n', "line 1: the name 'a' occurs twice"),
        ("t.jsonl", '{"a": [1]}\n{"a": 1}\n', "values of several types, list .* integer"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(
    folder: Path, name: str, content: str, message: str
) -> None:
    (folder / name).write_text(content)
    with pytest.raises(DataError, match=message):
        values(folder / name)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (['[1, "a"]', '[2, "b"]'], r"several types, within lists .*line 1\).* in one type\.$"),
        (["[1]", '["a"]'], r"several types, list \(line 1\) and other \(line 2\).* one type\.$"),
        (
            ['"x"', "[" * 300 + "]" * 300],
            r"several types, text .* and list \(line 2\)",
        ),
        (["1", '"a"'], r"several types, integer .* and text .* or declare the type"),
    ],
)
@pytest.mark.parametrize("types", [{}, {"o": ColumnType("other")}])
def test_values_of_several_types_are_refused_only_where_they_are_used(
    folder: Path, cells: list[str], message: str, types: dict[str, ColumnType]
) -> None:
    lines = [f'{{"x": {i}, "o": {cell}}}\n' for i, cell in enumerate(cells)]
    (folder / "t.jsonl").write_text("".join(lines))
    found = read_table([folder / "t.jsonl"], types)
    assert found.table["x"][:] == [0, 1]
    assert re.search(message, found.refused["o"])
    stream = open_stream(folder / "t.jsonl", types)
    (rows,) = stream.chunks(10)
    with pytest.raises(DataError, match=message):
        rows.values("o")
    with stream.writer(folder / "out.jsonl", {}, {}) as writer:
        writer.write(rows, {}, {})
    assert (folder / "out.jsonl").read_text() == "".join(lines)


def test_a_column_that_one_split_cannot_hold_is_refused_in_all(folder: Path) -> None:
    """Otherwise a training would use it, and only its evaluation would fail."""
    (folder / "train.jsonl").write_text('{"x": 0, "o": 1}\n')
    (folder / "test.jsonl").write_text('{"x": 1, "o": 1}\n{"x": 2, "o": "a"}\n')
    found = read_tables({"train": [Path("train.jsonl")], "test": [Path("test.jsonl")]})
    for reading in found.values():
        assert "test.jsonl, column 'o': values of several types" in reading.refused["o"]
    assert found["test"].table["x"][:] == [1, 2]


def test_a_cell_of_another_type_than_in_the_training_is_named(folder: Path) -> None:
    (folder / "t.csv").write_text("a\n1\n12O\n")
    with pytest.raises(DataError, match="line 3, column 'a': got '12O', expected a number"):
        values(folder / "t.csv", types={"a": ColumnType("integer")})
    pq.write_table(pa.table({"a": ["True", "maybe"]}), folder / "t.parquet")
    with pytest.raises(DataError, match="'a', row 1: got 'maybe', expected true or false"):
        values(folder / "t.parquet", types={"a": ColumnType("boolean")})


def test_columns_of_several_files_have_one_type(folder: Path) -> None:
    train = write(folder / "train.csv", {"a": ["1", "2", "?"], "b": [1, 2, 3]})
    test = write(folder / "test.csv", {"a": ["1", "2", None], "b": [1.5, 2.5, None]})
    found = read_tables({"train": [train], "test": [test]})
    assert found["test"].table["a"][:] == ["1", "2", None]
    assert found["train"].table["b"][:] == [1.0, 2.0, 3.0]
    both = read_table([train, test])
    assert both.table["a"][:] == ["1", "2", "?", "1", "2", None]


@pytest.mark.parametrize("cells", ["1 0 ", "1.0 0.0 ", "TRUE FALSE ", "true false "])
def test_truth_values_are_known_however_they_are_written(folder: Path, cells: str) -> None:
    (folder / "t.csv").write_text("a,b\n" + "".join(f"{cell},\n" for cell in cells.split(" ")))
    wanted = {"a": ColumnType("boolean")}
    assert values(folder / "t.csv", types=wanted) == [True, False, None]
    stream = open_stream(folder / "t.csv", wanted)
    with stream.writer(folder / "out.csv", {"a": pa.bool_()}, {}) as writer:
        for rows in stream.chunks(9):
            writer.write(rows, {"a": {2: True}}, {})
    assert read(folder / "out.csv")["a"][2] == cells.split(" ")[0]


def test_declared_types(folder: Path) -> None:
    path = write(folder / "t.csv", {"zip": ["2134", "3456"] * 10, "x": [1, 2] * 10})
    config = TableConfig(path=str(path), types={"zip": "text", "x": "number"})
    column = TableSource(config).splits()["train"].columns["zip"]
    assert set(column.read().values) == {"2134", "3456"}
    with pytest.raises(DataError, match=r"data.types: .* no column 'zipp'.*mean 'zip'"):
        TableSource(TableConfig(path=str(path), types={"zipp": "text"})).splits()


# -- imputation -----------------------------------------------------------------------------------


def test_a_csv_of_one_column_keeps_its_empty_lines(train: Train, folder: Path) -> None:
    run = train(write(folder / "t.csv", {"x": [1.5, 2.5, 4.0] * 10}), x=VECTOR)
    (folder / "few.csv").write_text("x\n1.5\n\n2.5\n\n\n")
    done = impute_table(mmvae.load(run), folder / "few.csv", folder / "out.csv")
    assert (done.rows, done.values) == (5, {"x": 3})
    found = read(folder / "out.csv")
    assert (found["x"][0], found["x"][2]) == ("1.5", "2.5")
    assert found["x_filled"] == ["False", "True", "False", "True", "True"]


def test_what_is_not_filled_is_written_as_it_was(train: Train, folder: Path) -> None:
    run = train(write(folder / "t.csv", {"x": [1.5, 2.5, 4.0] * 10}), x=VECTOR)
    odd = 'id,"no,te",x\n007,"NA",1.50\n" a","a ""b""\nc",\n1.10,NA,2e0\n'
    (folder / "odd.csv").write_text(odd)
    impute_table(mmvae.load(run), folder / "odd.csv", folder / "out.csv")
    written = (folder / "out.csv").read_text()
    lines = odd.replace('c",\n', 'c",GAP\n').replace("x\n", "x,x_filled\n", 1).splitlines()
    for line in (lines[0], lines[1] + ",False", lines[-1] + ",False", lines[2]):
        assert line in written


def test_columns_that_are_no_modalities_may_hold_anything(train: Train, folder: Path) -> None:
    run = train(write(folder / "t.csv", {"x": [1.5, 2.5, 4.0] * 10}), x=VECTOR)
    rows = [{"x": None, "any": 1}, {"x": 2.5, "any": "é\ud800"}, {"any": [{"deep": None}, 2]}]
    (folder / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    impute_table(mmvae.load(run), folder / "t.jsonl", folder / "out.jsonl")
    assert read(folder / "out.jsonl")["any"] == [row["any"] for row in rows]


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 3), shade).save(file, "PNG")
    return file.getvalue()


IMAGE = {"codec": "bernoulli-image", "encoder": [8], "decoder": [8]}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_pictures_that_are_paths_are_filled_with_files(
    train: Train, folder: Path, ending: str
) -> None:
    for shade in (0, 255):
        (folder / f"{shade}.png").write_bytes(picture(shade))
    paths = [f"{255 * (i % 2)}.png" if i % 3 else None for i in range(30)]
    path = write(folder / f"t{ending}", {"x": [float(i % 2) for i in range(30)], "p": paths})
    run = train(path, x=VECTOR, p=IMAGE)
    out = Path(f"out{ending}")
    impute_table(mmvae.load(run), path, out)
    found = read(out)["p"]
    assert [new for new, old in zip(found, paths, strict=True) if old] == [p for p in paths if p]
    for name in (name for name, old in zip(found, paths, strict=True) if old is None):
        assert Path(name).parent == Path("out_pictures")
        with Image.open(name) as made:
            assert made.size == (4, 3)
    again = train(out, x=VECTOR, p=IMAGE)  # readable from there
    assert mmvae.load(again).codecs["p"].event_shape == (1, 3, 4)


def test_pictures_in_lists_and_in_bytes_stay_so(train: Train, folder: Path) -> None:
    shades = [255 * (i % 2) if i % 3 else None for i in range(30)]
    bytes_, lists = (
        [None if s is None else made(s) for s in shades]
        for made in (picture, lambda s: [[s] * 4] * 3)
    )
    x = [float(i % 2) for i in range(30)]
    for name, cells_ in (("bytes", bytes_), ("lists", lists)):
        table = pa.table({"x": x, "p": cells_})
        pq.write_table(table, folder / f"{name}.parquet")
        run = train(folder / f"{name}.parquet", x=VECTOR, p=IMAGE)
        out = folder / f"out-{name}.parquet"
        impute_table(mmvae.load(run), folder / f"{name}.parquet", out)
        found = pq.read_table(out)["p"]
        assert found.type == table["p"].type
        assert [v for v, s in zip(found.to_pylist(), shades, strict=True) if s is not None] == [
            v for v in cells_ if v is not None
        ]
        filled = found.to_pylist()[0]
        assert np.asarray(Image.open(io.BytesIO(filled)) if name == "bytes" else filled).shape == (
            3,
            4,
        )


def test_an_arrow_file_is_written_in_as_many_batches_as_chunks(folder: Path) -> None:
    texts = pa.array([f"kind {i % 7}" for i in range(5000)])
    table = pa.table({"a": range(5000), "b": texts, "c": texts.dictionary_encode()})
    with pa.ipc.new_file("t.arrow", table.schema) as writer:
        writer.write_table(table)
    stream = open_stream(folder / "t.arrow")
    with stream.writer(folder / "out.arrow", {}, {"d": pa.int64()}) as out:
        for rows in stream.chunks(1500):
            out.write(rows, {"a": {0: -1}}, {"d": range(len(rows))})
    with pa.memory_map("out.arrow") as source:
        found = pa.ipc.open_file(source)
        assert found.num_record_batches == 4
        assert found.read_all()["c"].to_pylist() == texts.to_pylist()


def test_decimals_are_filled_exactly_or_refused(folder: Path) -> None:
    from decimal import Decimal

    def filled(value: Any, kind: Any) -> Any:
        pq.write_table(pa.table({"y": pa.array([Decimal("1.10"), None], kind)}), "t.parquet")
        stream = open_stream(folder / "t.parquet", {"y": ColumnType("text")})
        with stream.writer(folder / "out.parquet", {"y": pa.string()}, {}) as out:
            for rows in stream.chunks(9):
                out.write(rows, {"y": {1: value}}, {})
        return pq.read_table("out.parquet")["y"].to_pylist()[1]

    price, long = pa.decimal128(20, 2), pa.decimal128(38, 2)
    for text, kind in (("12345678901234567.01", price), ("9" * 36 + ".01", long), ("-1.1", price)):
        assert filled(text, kind) == Decimal(text)
    assert filled(1.237, price) == Decimal("1.24")  # a number is rounded
    assert filled(3, pa.decimal256(60, 2)) == 3
    for value in ("1.237", "inf", "x", "9" * 30, 1e30):
        with pytest.raises(DataError, match="column 'y': .*the model fills in"):
            filled(value, price)


@pytest.mark.parametrize(
    ("cells", "scale"),
    [((str(2**53), str(2**53 + 1)), 0), (("12345678901234567.01", "12345678901234567.02"), 2)],
)
def test_labels_of_long_decimals_are_refused_or_exact_as_texts(
    train: Train, folder: Path, cells: tuple[str, str], scale: int
) -> None:
    from decimal import Decimal

    labels = [None if i % 5 == 0 else Decimal(cells[i % 2]) for i in range(60)]
    x = [float(i % 2) for i in range(60)]
    pq.write_table(
        pa.table({"x": x, "y": pa.array(labels, pa.decimal128(20, scale))}), "t.parquet"
    )
    with pytest.raises(DataError, match=r"column 'y': item .* got label .*\[data.types\]"):
        train("t.parquet", x=VECTOR, y=LABEL)
    run = train("t.parquet", {"types": {"y": "text"}}, x=VECTOR, y=LABEL)
    assert mmvae.load(run).codecs["y"].classes == cells
    impute_table(mmvae.load(run), folder / "t.parquet", folder / "out.parquet")
    found = pq.read_table("out.parquet")["y"].to_pylist()
    assert set(found) == set(map(Decimal, cells))
    assert [a for a, b in zip(found, labels, strict=True) if b is not None] == [
        b for b in labels if b is not None
    ]


def test_columns_of_parquet_keep_their_types(train: Train, folder: Path) -> None:
    import datetime
    from decimal import Decimal

    n = 30
    gap = [i % 5 == 0 for i in range(n)]
    days = [datetime.date(2020, 1, 1 + i % 2) for i in range(n)]
    columns = {
        "day": pa.array([None if g else d for g, d in zip(gap, days, strict=True)]),
        "time": pa.array(
            [None if g else datetime.datetime(2020, 1, 1, i % 2) for i, g in enumerate(gap)],
            pa.timestamp("us", "UTC"),
        ),
        "kind": pa.array(
            [None if g else "ab"[i % 2] for i, g in enumerate(gap)]
        ).dictionary_encode(),
        "sick": pa.array([None if g else bool(i % 2) for i, g in enumerate(gap)]),
        "code": pa.array([None if g else i % 2 + 1 for i, g in enumerate(gap)], pa.int8()),
        "price": pa.array(
            [None if g else Decimal(f"{i}.25") for i, g in enumerate(gap)], pa.decimal128(9, 2)
        ),
        "v": pa.array(
            [None if g else [float(i), 1.0] for i, g in enumerate(gap)], pa.list_(pa.float32())
        ),
        "x": pa.array([float(i % 2) for i in range(n)], pa.float32()),
        "small": pa.array([None if g else np.float16(i) for i, g in enumerate(gap)], pa.float16()),
    }
    table = pa.table(columns)
    labels = {name: LABEL for name in ("day", "time", "kind", "sick", "code")}
    for ending in (".parquet", ".arrow"):
        path, out = folder / f"t{ending}", folder / f"out{ending}"
        if ending == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
        run = train(path, x=VECTOR, price=VECTOR, small=VECTOR, v=VECTOR, **labels)
        impute_table(mmvae.load(run), path, out)
        if ending == ".parquet":
            found = pq.read_table(out)
        else:
            with pa.memory_map(str(out)) as source:
                found = pa.ipc.open_file(source).read_all()
        for name in table.column_names:
            assert found[name].type == table[name].type, name
            old, new = table[name].to_pylist(), found[name].to_pylist()
            assert None not in new
            assert [v for v, g in zip(new, gap, strict=True) if not g] == [
                v for v, g in zip(old, gap, strict=True) if not g
            ]
            if name in labels:
                assert set(new) == set(old) - {None}


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.lists(st.text("ab\"',\n\r é[]0", max_size=5), min_size=2, max_size=2), max_size=5),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
def test_csv_is_cut_as_others_write_it(folder: Path, rows: list[list[str]], quoting: int) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting).writerows(rows)
    lines = io.StringIO(text.getvalue(), newline="")
    cut = records(lines, ",", "t", Bounds())
    assert [[text_of(cell) or "" for cell in cells] for _, _, cells in cut] == rows
