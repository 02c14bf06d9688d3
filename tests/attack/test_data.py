"""Data files that would take all memory, or never end: one message that says what to do."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from attack import sound_data
from attack.damage import damaged
from PIL import Image, ImageFile

from mmvae.cli.items import run_bounds
from mmvae.cli.main import run
from mmvae.data.columns import table_split
from mmvae.data.file_formats import open_stream
from mmvae.data.file_formats.arrow_file import opened_arrow
from mmvae.data.file_formats.csv_cells import records
from mmvae.data.file_formats.parquet_pages import decoded_bytes
from mmvae.data.file_formats.weight import pieces, rows_together, sizes_of
from mmvae.data.folder_files import content
from mmvae.data.size_bounds import Bounds
from mmvae.data.table_reader import read_table
from mmvae.foundations.errors import ConfigError, DataError

MIB = 1 << 20

Told = Callable[..., str]


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Told:
    """Run a command that has to refuse its data, and return its one message."""

    def refused(*words: object, code: tuple[int, ...] = (2, 4)) -> str:
        assert run(["-q", *map(str, words)]) in code
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return out + err

    return refused


def table(tmp_path: Path, name: str, data: bytes) -> Path:
    """The config of a table whose file holds these bytes."""
    config, (file,) = sound_data.write(name, tmp_path)
    file.write_bytes(data)
    return config


def folder(tmp_path: Path, name: str, data: bytes) -> Path:
    """The config of a folder, one of whose files holds these bytes."""
    config, files = sound_data.write(name, tmp_path)
    files[3].write_bytes(data)
    return config


@pytest.mark.parametrize("name", sound_data.FORMATS)
def test_damaged_files_are_refused_or_read(tmp_path: Path, name: str) -> None:
    config, files = sound_data.write(name, tmp_path)
    draws = random.Random(name)
    for _ in range(4):
        file = draws.choice(files)
        before = file.read_bytes()
        file.write_bytes(damaged(before, draws)[1])
        assert run(["-q", "data", "check", str(config)]) in (0, 2, 4)
        file.write_bytes(before)
    assert run(["-q", "data", "check", str(config)]) in (0, 4)


class TestCsv:
    """A record is bounded, and so is what it takes to cut it."""

    def test_a_long_line(self, tmp_path: Path, told: Told) -> None:
        said = told("data", "check", table(tmp_path, "csv", b"a,b\n1," + b"x" * (17 * MIB)))
        assert "line 2: 16,777,217 bytes or more" in said
        assert "data.max_cell_mib" in said

    def test_a_quote_that_is_never_closed(self, tmp_path: Path, told: Told) -> None:
        lines = b'a,b\n1,"x\n' + b"2,y\n" * (5 * MIB)
        said = told("data", "check", table(tmp_path, "csv", lines))
        assert "line 2: " in said
        assert "quote of cell 2 is not closed" in said

    def test_doubled_quotes_take_no_memory(self) -> None:
        lines = iter(['1,"' + '""' * MIB + '"\n'])
        tracemalloc.start()
        try:
            [(_, _, cells)] = records(lines, ",", "t", Bounds())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(cells[1]) == 2 * MIB + 2
        assert peak < 32 * MIB  # a regular expression that goes back takes 140

    def test_the_key_raises_the_bound(self, tmp_path: Path, told: Told) -> None:
        config = table(tmp_path, "csv", b"a,b\n1," + b"x" * (17 * MIB))
        said = told("data", "check", config, "-s", "data.max_cell_mib=20")
        assert "max_cell_mib" not in said

    def test_a_number_of_5000_digits_is_a_text(self, tmp_path: Path, told: Told) -> None:
        config, (file,) = sound_data.write("csv", tmp_path)
        file.write_text(file.read_text().replace("flag", "count").replace("True", "9" * 5000))
        assert run(["-q", "data", "check", str(config)]) == 0

    def test_latin_1_is_told_by_its_line(self, tmp_path: Path, told: Told) -> None:
        lines = b"a,b\n" + b"1,x\n" * 9 + b"1,caf\xe9\n"
        said = told("data", "check", table(tmp_path, "csv", lines))
        assert "line 11" in said
        assert "UTF-8" in said


class TestJson:
    """Whatever JSON can say is read or refused by its line."""

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deep"),
            ('{"a": ' + '{"b": ' * 100_000 + "1" + "}" * 100_001, "nested too deep"),
            ('{"a": ' + "9" * 5_000 + "}", "4300 digits"),
            ('{"a": "\\ud800"}', "half a character, expected valid Unicode"),
            ('{"\\ud800": 1}', "half a character"),
            ('{"a": 1, "a": 2}', "occurs twice"),
            ('{"a": "' + "x" * (17 * MIB) + '"}', "data.max_cell_mib"),
        ],
    )
    @pytest.mark.parametrize("name", ["jsonl", "json"])
    def test_a_line(self, tmp_path: Path, told: Told, name: str, line: str, message: str) -> None:
        text = '{"a": "x"}\n' + line if name == "jsonl" else '[{"a": "x"},\n' + line + "]"
        said = told("data", "check", table(tmp_path, name, text.encode()))
        assert message in said
        assert "items.json" in said

    def test_latin_1(self, tmp_path: Path, told: Told) -> None:
        said = told("data", "check", table(tmp_path, "jsonl", b'{"a": "x"}\n{"a": "caf\xe9"}\n'))
        assert "line 2" in said

    @pytest.mark.parametrize(
        ("text", "line"),
        [("[{}", 1), ("[{}\n{}]", 2), ("[{},\n\n]", 3), ("[{}]\n{}", 2), ("[{},\n{]", 2)],
    )
    def test_no_array(self, tmp_path: Path, told: Told, text: str, line: int) -> None:
        said = told("data", "check", table(tmp_path, "json", text.encode()))
        assert f"line {line}" in said

    def test_arrays_are_read_in_parts(self, tmp_path: Path) -> None:
        rows = [{"a": k, "b": ["]", '"{', k]} for k in range(5000)]
        for indent in (None, 2):
            (tmp_path / "x.json").write_text(json.dumps(rows, indent=indent))
            stream = open_stream(tmp_path / "x.json", bounds=Bounds(cell=1000))
            chunks = list(stream.chunks(10_000))
            assert [row for chunk in chunks for row in chunk.objects] == rows
            assert len(chunks) > 50  # since a chunk holds few characters


def arrow(value: pa.Table, **options: object) -> bytes:
    """A table as an Arrow file."""
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, value.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(value)
    return sink.getvalue()


def union(mode: str) -> pa.Array:
    """A column of numbers and texts by turns."""
    tags, offsets = pa.array([0, 1] * 6, pa.int8()), pa.array([0, 0] * 6, pa.int32())
    parts = [pa.array([1.0] * 12), pa.array(["x"] * 12)]
    if mode == "sparse":
        return pa.UnionArray.from_sparse(tags, parts)
    return pa.UnionArray.from_dense(tags, offsets, parts)


UNREAD: dict[str, Callable[[], pa.Array]] = {
    "list_view": lambda: pa.array([[1.0, 2.0]] * 12, pa.list_view(pa.float64())),
    "large_list_view": lambda: pa.array([[1.0]] * 12, pa.large_list_view(pa.float64())),
    "dictionary of lists": lambda: pa.DictionaryArray.from_arrays(
        pa.array([0] * 12), pa.array([[1.0, 2.0]])
    ),
    "sparse union": lambda: union("sparse"),
    "dense union": lambda: union("dense"),
    "map": lambda: pa.array([[("k", 1)]] * 12, pa.map_(pa.string(), pa.int64())),
    "list of maps": lambda: pa.array([[[("k", 1)]]] * 12, pa.list_(pa.map_("string", "int64"))),
    "run_end_encoded": lambda: pa.RunEndEncodedArray.from_arrays([12], [1.0]),
    "interval": lambda: pa.array([(1, 2, 3)] * 12, pa.month_day_nano_interval()),
    "uuid": lambda: pa.array([bytes(16)] * 12, pa.uuid()),
}
"""Columns of Arrow types that are not read."""


class TestArrow:
    """What a file says of its buffers is checked before they are used."""

    def test_offsets_that_lead_elsewhere(self, tmp_path: Path, told: Told) -> None:
        data = bytearray(arrow(pa.table({"a": ["x" * 8] * 64})))
        at = data.find(struct.pack("<iii", 8, 16, 24))
        data[at : at + 4] = struct.pack("<i", 2**31 - 1)
        said = told("data", "check", table(tmp_path, "arrow", bytes(data)))
        assert "cannot be read as a table" in said

    def test_text_that_is_none(self, tmp_path: Path, told: Told) -> None:
        data = arrow(pa.table({"a": ["text"] * 8})).replace(b"text", b"te\xff\xff")
        said = told("data", "check", table(tmp_path, "arrow", data))
        assert "UTF8" in said

    def test_what_is_decompressed_is_bounded(self, tmp_path: Path, told: Told) -> None:
        zeros = pa.table({"a": np.zeros(3 * MIB)})  # 24 MiB
        config = table(tmp_path, "arrow", arrow(zeros, compression="zstd"))
        said = told("data", "check", config, "-s", "data.max_cell_mib=0.25")
        assert "25,165,824 bytes once decompressed" in said
        assert "data.max_cell_mib" in said

    def test_a_cut_file(self, tmp_path: Path, told: Told) -> None:
        data = arrow(pa.table({"a": list(range(1000))}))
        said = told("data", "check", table(tmp_path, "arrow", data[:-30]))
        assert "cannot be read as a table" in said

    @pytest.mark.parametrize("name", ["arrow", "parquet"])
    def test_a_large_cell(self, tmp_path: Path, told: Told, name: str) -> None:
        large = pa.table({"a": ["x", "y" * (17 * MIB), "z"]})
        sink = io.BytesIO()
        pq.write_table(large, sink)
        data = arrow(large) if name == "arrow" else sink.getvalue()
        said = told("data", "check", table(tmp_path, name, data))
        assert "row 1, column 'a': 17,825," in said
        assert "data.max_cell_mib" in said

    def test_one_value_that_is_there_a_thousand_times(self, tmp_path: Path, told: Told) -> None:
        often = pa.DictionaryArray.from_arrays(pa.array([0] * 2000), pa.array(["x" * 10_000]))
        sink = io.BytesIO()
        pq.write_table(pa.table({"a": often}), sink)
        config = table(tmp_path, "parquet", sink.getvalue())
        said = told("data", "check", config, "-s", "data.max_file_gib=0.01")
        assert "more than 10,737,418 bytes once decoded" in said
        assert "data.max_file_gib" in said

    def test_damaged_notes_of_datasets(self, tmp_path: Path, told: Told) -> None:
        value = pa.table({"a": [1, 2]}).replace_schema_metadata({"huggingface": '{"info": 3}'})
        said = told("data", "check", table(tmp_path, "arrow", arrow(value)))
        assert "what datasets noted" in said

    @pytest.mark.parametrize("name", UNREAD)
    @pytest.mark.parametrize("noted", [False, True])
    def test_a_type_that_is_not_read(
        self, tmp_path: Path, told: Told, name: str, noted: bool
    ) -> None:
        value = pa.table({"height": [1.0, 2.0, 3.0] * 4, "size": UNREAD[name]()})
        if noted:
            notes = {"info": {"features": {"height": {"dtype": "float64", "_type": "Value"}}}}
            value = value.replace_schema_metadata({"huggingface": json.dumps(notes)})
        config = table(tmp_path, "arrow", arrow(value))
        used = "[modalities]\nheight = {codec = 'vector'}\n"
        text = config.read_text()
        start, end = text.index("[modalities]"), text.index("[model]")
        config.write_text(text[:start] + used + text[end:])
        assert run(["-q", "data", "check", str(config)]) in (0, 4)
        config.write_text(text[:start] + used + "size = {codec = 'vector'}\n" + text[end:])
        said = told("data", "check", config)
        assert f"column 'size': its type {value.schema.field('size').type} is not read" in said
        assert "Convert the column" in said

    @pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()])
    def test_views_are_weighed_without_a_copy(self, kind: pa.DataType) -> None:
        views = struct.pack("<i4sii", 10 * MIB, b"xxxx", 0, 0) * 64
        known = pa.py_buffer(b"\xff" * 7 + b"\x7f")  # the last one is missing
        buffers = [known, pa.py_buffer(views), pa.py_buffer(b"x" * (10 * MIB))]
        shared = pa.Array.from_buffers(kind, 64, buffers)
        coded = pa.DictionaryArray.from_arrays(pa.array([63, None, 5]), shared)
        before = pa.default_memory_pool().max_memory()
        assert sizes_of(shared.slice(2)).tolist() == [10 * MIB] * 61 + [0]
        assert sizes_of(coded).tolist() == [0, 0, 10 * MIB]
        assert sizes_of(shared.slice(0, 0)).tolist() == []
        assert pa.default_memory_pool().max_memory() < before + MIB

    def test_a_large_view(self, tmp_path: Path, told: Told) -> None:
        value = pa.table({"a": pa.array(["x", "y" * (17 * MIB), None], pa.string_view())})
        said = told("data", "check", table(tmp_path, "arrow", arrow(value)))
        assert "row 1, column 'a': 17,825,792" in said

    def test_what_is_sound_is_read_as_before(self, tmp_path: Path) -> None:
        value = pa.table(
            {
                "a": [f"text {k}" for k in range(3000)],
                "b": pa.array([("p", "q")[k % 2] for k in range(3000)]).dictionary_encode(),
                "c": [[k, k + 1] for k in range(3000)],
            }
        )
        for k, options in enumerate(({}, {"compression": "zstd"}, {"compression": "lz4"})):
            file = tmp_path / f"{k}.arrow"
            file.write_bytes(arrow(value, **options))
            assert read_table([file]).table.to_list() == value.to_pylist()

    def test_the_file_that_was_checked_is_the_one_that_is_read(self, tmp_path: Path) -> None:
        file = tmp_path / "t.arrow"
        file.write_bytes(arrow(pa.table({"a": [1, 2]})))

        class Replaced(Bounds):
            def open(self, path: Path) -> BinaryIO:
                opened = super().open(path)
                path.unlink()
                path.write_bytes(arrow(pa.table({"b": ["other"]})))
                return opened

        with opened_arrow(file, Replaced()) as (schema, total, batches):
            assert (schema.names, total) == (["a"], 2)
            assert [batch.to_pydict() for batch in batches] == [{"a": [1, 2]}]


def together(**columns: object) -> int:
    """How many rows of a Parquet file of these columns are decoded together."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return rows_together(sink, pq.read_metadata(sink), Bounds(), Path("items.parquet"))


def varint(number: int, size: int = 0) -> bytes:
    """A number as Thrift writes it, perhaps in more bytes than it needs."""
    parts, left = [], 2 * number
    while left or not parts or len(parts) < size:
        parts.append(left & 127)
        left >>= 7
    return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])


def understated(table: pa.Table, **options: object) -> bytes:
    """A Parquet file whose footer says that each column has a hundred bytes."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    data, metadata = sink.getvalue(), pq.read_metadata(sink)
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    for k in range(metadata.num_row_groups):
        group = metadata.row_group(k)
        held = [group.column(c).total_uncompressed_size for c in range(group.num_columns)]
        for claim in {group.total_byte_size, *held}:
            footer = footer.replace(varint(claim), varint(100, len(varint(claim))))
    return data[: -8 - size] + footer + data[-8:]


class TestPieces:
    """Few bytes are decoded together, and many rows where they have few bytes."""

    def test_small_rows_are_decoded_by_the_thousand(self) -> None:
        assert together(a=np.zeros(5000), b=["cat", "dog"] * 2500, c=[True] * 5000) == 1024

    def test_a_value_that_may_be_in_all_rows(self) -> None:
        assert 250 < together(a=["x" * (4 * MIB), *["y"] * 4999]) < 256  # 1 GiB, if it were
        often = pa.DictionaryArray.from_arrays(pa.array([0] * 5000), pa.array(["x" * (15 * MIB)]))
        assert 64 < together(a=often) < 69
        assert together(a=["x" * (40 * MIB), *["y"] * 99_999]) == 64

    def test_lists_may_be_longer_than_they_seem(self) -> None:
        assert together(a=[[0.0]] * 5000) == 64

    @pytest.mark.parametrize("version", ["1.0", "2.0"])
    def test_a_footer_may_say_less_than_there_is(self, tmp_path: Path, version: str) -> None:
        often = pa.DictionaryArray.from_arrays(pa.array([0] * 5000), pa.array(["x" * (15 * MIB)]))
        data = understated(pa.table({"a": often}), compression="zstd", data_page_version=version)
        metadata = pq.read_metadata(io.BytesIO(data))
        assert metadata.row_group(0).column(0).total_uncompressed_size == 100
        rows = rows_together(io.BytesIO(data), metadata, Bounds(), Path("items.parquet"))
        assert 64 < rows < 69

    def test_each_kind_of_page_is_weighed(self) -> None:
        values = {
            "text": [f"{k}" * 50 for k in range(4000)],
            "list": [[k, k + 1] for k in range(4000)],
            "number": np.arange(4000.0),
            "none": [None] * 4000,
        }
        for version in ("1.0", "2.0"):
            for compression in ("none", "snappy", "gzip", "zstd", "lz4"):
                for dictionary in (True, False):
                    sink = io.BytesIO()
                    pq.write_table(
                        pa.table(values),
                        sink,
                        row_group_size=1500,
                        data_page_size=2000,
                        data_page_version=version,
                        compression=compression,
                        use_dictionary=dictionary,
                        write_page_index=dictionary,
                    )
                    metadata = pq.read_metadata(sink)
                    for k in range(metadata.num_row_groups):
                        for c in range(metadata.num_columns):
                            chunk = metadata.row_group(k).column(c)
                            held = decoded_bytes(sink, chunk, 8, False, Bounds(), "")
                            told = chunk.total_uncompressed_size  # with the headers
                            assert 0 <= told - held <= 200 * (1 + told // 1000)

    @pytest.mark.parametrize(
        "data", [b"\x2c\x00\x00", b"\x25\x01\x00", b"\x15\x00", b"\x19", b"\x2c" * 99, b""]
    )
    def test_headers_that_are_none(self, data: bytes) -> None:
        chunk = SimpleNamespace(
            num_values=1, data_page_offset=0, has_dictionary_page=False, total_compressed_size=99
        )
        with pytest.raises(ValueError, match="header of a page"):
            decoded_bytes(io.BytesIO(data), chunk, 8, True, Bounds(), "")

    def test_a_page_of_more_than_is_decoded_together(self, tmp_path: Path) -> None:
        file = tmp_path / "items.parquet"
        file.write_bytes(understated(pa.table({"a": [[0] * 500_000] * 3}), compression="zstd"))
        open_stream(file)
        with pytest.raises(DataError, match="column 'a.list.element', a page: 12,000,000 bytes"):
            open_stream(file, bounds=Bounds(cell=1 << 13))

    def test_large_rows_are_decoded_one_by_one(self) -> None:
        values = [bytes([k]) * (3 * MIB) for k in range(6)]
        assert together(a=values) == 5
        assert together(a=values, b=[value * 6 for value in values]) == 1

    def test_no_rows(self) -> None:
        assert together(a=pa.array([], pa.string())) == 1024

    @pytest.mark.parametrize("kind", ["dictionary", "string_view", "string"])
    def test_a_piece_has_few_bytes_or_one_row(self, kind: str) -> None:
        texts = ["x" * 700, "y", None, "z" * 90]
        rows = [texts[k % 4] for k in range(3000)]
        plain = pa.array(rows)
        column = plain.dictionary_encode() if kind == "dictionary" else plain.cast(kind)
        batch = pa.record_batch({"a": column}).slice(1)
        found = list(pieces(batch, Path("t"), 0, Bounds(cell=1000)))
        assert [row for piece, _ in found for row in piece["a"].to_pylist()] == rows[1:]
        for piece, weight in found:
            held = sum(len(text or "") for text in piece["a"].to_pylist())
            assert weight <= 1000
            assert kind == "string" or weight == held
        assert len(found) < 1500

    @pytest.mark.parametrize("kind", ["dictionary", "string_view", "string"])
    def test_a_large_cell_is_told_by_its_row(self, kind: str) -> None:
        plain = pa.array(["x"] * 1500 + ["y" * 1001] + ["z"] * 5)
        column = plain.dictionary_encode() if kind == "dictionary" else plain.cast(kind)
        batch = pa.record_batch({"a": column})
        with pytest.raises(DataError, match="t, row 1507, column 'a': 1,0.. bytes or more"):
            list(pieces(batch, Path("t"), 7, Bounds(cell=1000)))


def npy(header: str) -> bytes:
    """An ``.npy`` file with this header and eight bytes."""
    text = header.encode().ljust(182) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(8)


class TestFolder:
    """Files of single items are bounded, whatever they say of themselves."""

    @pytest.mark.parametrize(
        "header",
        [
            "{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (3,",
            "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
            f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({10**30},), }}",
            "((((",
            "",
        ],
    )
    def test_a_header_of_npy(self, tmp_path: Path, told: Told, header: str) -> None:
        said = told("data", "check", folder(tmp_path, "npy", npy(header)))
        assert "3.npy: cannot be read" in said

    def test_a_large_file(self, tmp_path: Path, told: Told) -> None:
        config = folder(tmp_path, "txt", b"")
        os.truncate(tmp_path / "items" / "x" / "3.txt", 2**40)
        said = told("data", "check", config)
        assert "3.txt: 1,099,511,627,776 bytes" in said
        assert "data.max_file_gib" in said

    def test_a_pipe_and_a_device(self, tmp_path: Path, told: Told) -> None:
        config, files = sound_data.write("txt", tmp_path)
        files[3].unlink()
        os.mkfifo(files[3])
        assert "no regular file" in told("data", "check", config)
        files[3].unlink()
        files[3].symlink_to("/dev/zero")
        assert "no regular file" in told("data", "check", config)


@pytest.mark.parametrize("name", ["csv", "jsonl", "parquet", "arrow"])
def test_a_pipe_or_a_device_in_place_of_a_table(tmp_path: Path, told: Told, name: str) -> None:
    config, (file,) = sound_data.write(name, tmp_path)
    file.unlink()
    os.mkfifo(file)
    assert "no regular file" in told("data", "check", config)
    file.unlink()
    file.symlink_to("/dev/zero")
    assert "no regular file" in told("data", "check", config)


def test_a_table_of_any_size(tmp_path: Path, told: Told) -> None:
    config = table(tmp_path, "csv", b"")
    os.truncate(tmp_path / "items.csv", 2**40)
    assert "data.max_file_gib" in told("data", "check", config)


def picture(side: int) -> bytes:
    """The beginning of a PNG file that says it has so many pixels a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.mark.parametrize("side", [8_000, 13_000, 30_000])
def test_a_picture_of_too_many_pixels(tmp_path: Path, told: Told, side: int) -> None:
    said = told("data", "check", folder(tmp_path, "png", picture(side)))
    assert "50,000,000 pixels at most" in said
    assert ("max_pixels" in said) == (side < 20_000)  # of others Pillow's own bound says it first
    assert "Warning" not in said


@pytest.mark.parametrize("form", ["EPS", "ICO", "ICNS", "PSD", "TGA", "JPEG2000"])
def test_other_formats_are_not_opened(tmp_path: Path, told: Told, form: str) -> None:
    file = io.BytesIO()
    if form == "PSD":
        file.write(b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 16, 16, 8, 3) + bytes(12) + bytes(770))
    else:
        Image.new("RGB", (16, 16)).save(file, form)
    said = told("data", "check", folder(tmp_path, "png", file.getvalue()))
    assert "no picture of a known format" in said
    assert "PPM, TIFF or WEBP" in said


def icon(side: int) -> bytes:
    """An icon of 32×32 pixels by its header that holds a PNG picture of this side."""
    data = picture(side)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 32, 32, 0, 0, 1, 32, len(data), 22) + data


def tiled(side: int) -> bytes:
    """A TIFF file of 32×32 pixels in one tile of this side."""
    data = zlib.compress(bytes(1000))
    numbers = {256: 32, 257: 32, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side}
    tags = numbers | {324: 8 + 2 + 12 * 10 + 4, 325: len(data)}
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + listed + bytes(4) + data


@pytest.mark.parametrize("data", [icon(12_000), tiled(16_384)], ids=["icon", "tiled"])
def test_a_picture_that_is_larger_than_its_header_says(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    loaded: list[object] = []
    load = ImageFile.ImageFile.load

    def kept(image: ImageFile.ImageFile) -> object:
        loaded.extend([image.size] if image.size == (32, 32) else [])
        return load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", kept)
    said = told("data", "check", folder(tmp_path, "png", data))
    assert "16,384×16,384 pixels" in said or "known format" in said
    assert not loaded


WIDE = ["csv", "jsonl", "json", "parquet", "arrow"]


def wide(name: str, columns: int) -> bytes:
    """A table of two rows of so many columns; each object of JSON has other names."""
    names = [f"c{k}" for k in range(columns)]
    table, sink = pa.table([pa.array([1, 2])] * columns, names), io.BytesIO()
    if name == "csv":
        return f"{','.join(names)}\n{','.join('1' * columns)}\n".encode()
    if name in ("jsonl", "json"):
        objects = [dict.fromkeys(names, 1), {f"{name}b": 1 for name in names}]
        lines = "\n".join(map(json.dumps, objects))
        return (json.dumps(objects) if name == "json" else lines).encode()
    if name == "parquet":
        pq.write_table(table, sink)
    else:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return sink.getvalue()


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("columns", [6_000, 10_001])
def test_more_columns_than_a_table_may_have(
    tmp_path: Path, told: Told, name: str, columns: int
) -> None:
    file = tmp_path / f"items.{name}"
    file.write_bytes(wide(name, columns))
    if columns == 6_000 and not name.startswith("json"):  # whose objects have 12,000 together
        open_stream(file, bounds=Bounds(columns=6_000))
        return
    with pytest.raises(DataError, match=r"columns or more, expected at most 10,000.*max_columns"):
        open_stream(file)


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_a_description_of_columns_is_bounded_before_it_is_read(tmp_path: Path, name: str) -> None:
    file = tmp_path / f"items.{name}"
    file.write_bytes(wide(name, 2_000))
    with pytest.raises(DataError, match="bytes that describe columns"):
        open_stream(file, bounds=Bounds(cell=1 << 14))
    names = tmp_path / "stream.arrow"
    with pa.ipc.new_stream(str(names), pa.schema([(str(k), pa.int8()) for k in range(2_000)])):
        pass
    with pytest.raises(DataError, match="bytes that describe columns"):
        open_stream(names, bounds=Bounds(cell=1 << 14))


def test_gzip_that_becomes_gigabytes(tmp_path: Path, told: Told) -> None:
    config, files = sound_data.write("idx.gz", tmp_path)
    images = next(file for file in files if "train-images" in file.name)
    block, packed = bytes(16 * MIB), io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as file:
        file.write(struct.pack(">BBBBIII", 0, 0, 8, 3, 2**21, 28, 28))
        for _ in range(17):
            file.write(block)
    images.write_bytes(packed.getvalue())
    assert "more than 268,435,456 bytes" in told("data", "check", config)


@pytest.mark.parametrize("descr", ["|V0", "|S0", "<U0"])
def test_elements_without_size_are_refused(tmp_path: Path, descr: str) -> None:
    file = tmp_path / "a.npy"
    header = repr({"descr": descr, "fortran_order": False, "shape": (10**12,)}).encode() + b"\n"
    file.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    with pytest.raises(DataError, match=r"a\.npy: cannot be read \(elements of type .*numbers"):
        content(file)


def test_more_rows_than_a_table_may_have(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"empty": pa.nulls(11), "a": pa.array([1] * 11)}), file)
    with pytest.raises(DataError, match="11 rows or more, expected 10 at most.*data.max_rows"):
        read_table([file], bounds=Bounds(rows=10))
    assert len(read_table([file], items=10, bounds=Bounds(rows=10)).table) == 10


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("us", tz="Nowhere/Zone"),
        pa.dictionary(pa.int32(), pa.timestamp("us", tz="Nowhere/Zone")),
        pa.list_(pa.timestamp("us", tz="Nowhere/Zone")),
        pa.list_(pa.timestamp("s")),
        pa.duration("s"),
        pa.list_(pa.duration("s")),
        pa.struct([("far", pa.duration("s"))]),
    ],
)
def test_columns_of_times_that_python_cannot_represent(tmp_path: Path, kind: pa.DataType) -> None:
    file = tmp_path / "a.arrow"
    if pa.types.is_dictionary(kind):
        column = pa.DictionaryArray.from_arrays(
            pa.array([0], pa.int32()), pa.array([1], kind.value_type)
        )
    else:
        value = {"far": 2**62} if pa.types.is_struct(kind) else 2**62
        column = pa.array([[value] if pa.types.is_list(kind) else value], kind)
    table = pa.table({"a": [1.0], "t": column})
    with pa.ipc.new_file(file, table.schema) as sink:
        sink.write_table(table)
    stream = open_stream(file)
    assert f"its type {kind} is not read" in stream.refused["t"].replace("…", "")
    assert read_table([file]).table["a"][:] == [1.0]


@pytest.mark.parametrize("inner", [pa.null(), pa.struct([]), pa.binary(0)])
def test_lists_of_elements_without_bytes_are_refused_if_used(
    tmp_path: Path, inner: pa.DataType
) -> None:
    """A file of 1 kB may claim 10⁹ of them."""
    file, count = tmp_path / "a.arrow", 10**6
    offsets = pa.array([0, count], pa.int32()).buffers()[1]
    if pa.types.is_null(inner):
        elements = pa.nulls(count)
    else:
        buffers = [None, pa.py_buffer(b"")] if inner == pa.binary(0) else [None]
        elements = pa.Array.from_buffers(inner, count, buffers)
    lists = pa.Array.from_buffers(pa.list_(inner), 1, [None, offsets], children=[elements])
    table = pa.table({"a": [1.0], "t": lists})
    with pa.ipc.new_file(file, table.schema) as sink:
        sink.write_table(table)
    assert "is not read" in open_stream(file).refused["t"]
    reading = read_table([file])
    assert reading.table["a"][:] == [1.0]
    assert reading.table.features["t"].dtype == "null"


def test_values_that_python_cannot_represent_in_a_dataset() -> None:
    dataset = datasets.Dataset(pa.table({"t": pa.array([2**62], pa.duration("s"))}))
    with pytest.raises(DataError, match="column 't': its values cannot be read: .*too large"):
        table_split(dataset, "here").columns["t"].read()


def test_a_table_for_a_run_has_the_bounds_of_its_config(tmp_path: Path) -> None:
    assert run_bounds(tmp_path) == Bounds()
    for data, bounds in (
        ("max_cell_mib = 2.0", Bounds(cell=2 * MIB)),
        ("max_file_gib = 0.25", Bounds()),  # of a folder: files of single items
        ("max_file_gib = 128.0", Bounds(file=128 << 30)),
        ("max_columns = 20_000", Bounds(columns=20_000)),
        ("max_rows = 70", Bounds(rows=70)),
    ):
        (tmp_path / "config.resolved.toml").write_text(f"[data]\n{data}\n")
        assert run_bounds(tmp_path) == bounds
    (tmp_path / "config.resolved.toml").write_text("[data]\nmax_cell_mib = 'x'\n")
    with pytest.raises(ConfigError, match=r"data\.max_cell_mib = 'x'"):
        run_bounds(tmp_path)
