"""Tables of odd values in files of every kind, as other programs write them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mmvae.modalities.column_type import NULL_WORDS

Columns = Mapping[str, Sequence[Any]]


def write(path: Path, columns: Columns) -> Path:
    """Write columns of Python values, None for what is missing, by the ending of the file."""
    if path.suffix in (".csv", ".tsv"):
        write_csv(path, columns)
    elif path.suffix in (".jsonl", ".json"):
        rows = [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]
        lines = "\n".join(json.dumps(row) for row in rows)
        path.write_text(json.dumps(rows) if path.suffix == ".json" else lines, "utf-8")
    else:
        table = pa.table({name: list(values) for name, values in columns.items()})
        if path.suffix == ".parquet":
            pq.write_table(table, path)
        else:
            with pa.ipc.new_file(str(path), table.schema) as writer:
                writer.write_table(table, max_chunksize=7)
    return path


def write_csv(path: Path, columns: Columns) -> None:
    """Write CSV; texts that would be taken as missing are quoted."""
    separator = "\t" if path.suffix == ".tsv" else ","

    def cell(value: Any) -> str:
        if value is None:
            return ""
        text = value if isinstance(value, str) else str(value)
        quoted = text in NULL_WORDS or any(c in text for c in f'"\n\r{separator}')
        return '"' + text.replace('"', '""') + '"' if quoted else text

    lines = [list(columns), *zip(*columns.values(), strict=True)]
    text = "".join(separator.join(map(cell, line)) + "\n" for line in lines)
    path.write_text(text, "utf-8", newline="")


def read(path: Path) -> dict[str, list[Any]]:
    """The columns of a file, of CSV as the texts of cells, None for empty ones."""
    if path.suffix in (".csv", ".tsv"):
        separator = "\t" if path.suffix == ".tsv" else ","
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file, delimiter=separator)
        rows = [row or [""] for row in rows]
        return {name: [row[k] or None for row in rows] for k, name in enumerate(header)}
    if path.suffix == ".jsonl":
        objects = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return {name: [row.get(name) for row in objects] for name in objects[0]}
    if path.suffix == ".json":
        objects = json.loads(path.read_text("utf-8"))
        return {name: [row.get(name) for row in objects] for name in objects[0]}
    if path.suffix == ".parquet":
        found: dict[str, list[Any]] = pq.read_table(path).to_pydict()
        return found
    with pa.memory_map(str(path)) as source:
        found = pa.ipc.open_file(source).read_all().to_pydict()
    return found
