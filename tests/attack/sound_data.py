"""Small sound data of each format, with the config that reads them."""

from __future__ import annotations

import gzip
import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROWS = 24
KINDS = ("beech", "willow", "poplar")


def rows(pictures: bool = False) -> list[dict[str, Any]]:
    """Rows of a table: two numbers, a list, a text and a class, with gaps."""
    draws = np.random.default_rng(0)
    found: list[dict[str, Any]] = []
    for k in range(ROWS):
        row: dict[str, Any] = {
            "height": round(float(draws.normal(10, 2)), 3),
            "size": [round(float(v), 3) for v in draws.normal(5, 1, 3)],
            "note": f"leaf {k}, long",
            "kind": KINDS[k % 3],
            "flag": bool(k % 2),
        }
        if pictures:
            row["picture"] = picture(k, "PNG")
        if k % 7 == 6:
            row["height"] = None
        found.append(row)
    return found


def picture(k: int, kind: str) -> bytes:
    """A drawn grey picture of 16×16 pixels, encoded."""
    pixels = np.random.default_rng(k).integers(0, 256, (16, 16), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


TABLE = (
    "[modalities]\n"
    "height = {codec = 'vector'}\n"
    "size = {codec = 'vector'}\n"
    "note = {codec = 'text', max_length = 40, unknown = 'replace'}\n"
    "kind = {codec = 'categorical', encoder = [8], decoder = [8]}\n"
)
PICTURE = "picture = {codec = 'bernoulli-image', encoder = [8], decoder = [8]}\n"
REST = "[model]\nlatent_dim = 2\n[train]\nepochs = 1\ndevice = 'cpu'\n"


def write_table(folder: Path, ending: str) -> tuple[str, list[Path]]:
    """A table: its config, and the file."""
    file, pictures = folder / f"items{ending.replace('.stream', '.arrow')}", False
    if ending in (".csv", ".tsv"):
        separator = "," if ending == ".csv" else "\t"
        lines = [separator.join(rows()[0])]
        for row in rows():
            cells = [row["height"], json.dumps(row["size"]), row["note"], row["kind"], row["flag"]]
            lines.append(separator.join(map(cell, cells)))
        file.write_text("\n".join(lines) + "\n")
    elif ending == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    elif ending == ".json":
        file.write_text(json.dumps(rows(), indent=1))
    else:
        write_arrow(file, ending)
        pictures = True
    data = f"[data]\nsource = 'table'\npath = '{file}'\n"
    return data + TABLE + PICTURE * pictures + REST, [file]


def cell(value: Any) -> str:
    """A value as the cell of a CSV file."""
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def write_arrow(file: Path, ending: str) -> None:
    """The table in Parquet, or as an Arrow file or stream."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows(pictures=True))
    kind = table.column("kind").dictionary_encode()
    table = table.set_column(table.schema.get_field_index("kind"), "kind", kind)
    if ending == ".parquet":
        pq.write_table(table, file, row_group_size=10)
        return
    opened = pa.ipc.new_stream if ending == ".stream" else pa.ipc.new_file
    with pa.OSFile(str(file), "wb") as sink, opened(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=10)


def write_folder(folder: Path, ending: str) -> tuple[str, list[Path]]:
    """A folder of files: its config, and the files."""
    place = folder / "items" / "x"
    place.mkdir(parents=True)
    files = []
    for k in range(12):
        file = place / f"{k}{ending}"
        if ending == ".npy":
            np.save(file, np.random.default_rng(k).normal(size=(3,)))
        elif ending == ".txt":
            file.write_text(f"leaf {k}, long\n", encoding="utf-8")
        else:
            file.write_bytes(picture(k, {".jpg": "JPEG", ".tif": "TIFF"}.get(ending, ending[1:])))
        files.append(file)
    codecs = {
        ".npy": "codec = 'vector'",
        ".txt": "codec = 'text', max_length = 40, unknown = 'replace'",
    }
    codec = codecs.get(
        ending, "codec = 'bernoulli-image', channels = 1, encoder = [8], decoder = [8]"
    )
    (folder / "items" / "kinds.csv").write_text(
        "id,kind\n" + "".join(f"{k},{KINDS[k % 3]}\n" for k in range(12))
    )
    modalities = f"[modalities]\nx = {{{codec}}}\nkind = {{codec = 'categorical'}}\n"
    return f"[data]\nsource = 'folder'\npath = '{folder / 'items'}'\n{modalities}{REST}", files


def write_idx(folder: Path, ending: str) -> tuple[str, list[Path]]:
    """The four files of MNIST with few digits: their config, and the files."""
    place = folder / "mnist"
    place.mkdir()
    files = []
    for name, n in (("train", 20), ("t10k", 10)):
        images = np.random.default_rng(n).integers(0, 256, (n, 28, 28), np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(n) % 10)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            data = header + array.astype(np.uint8).tobytes()
            file = place / f"{name}-{kind}-ubyte{ending}"
            file.write_bytes(gzip.compress(data, mtime=0) if ending else data)
            files.append(file)
    modalities = (
        "[modalities]\nimage = {codec = 'bernoulli-image', encoder = [8], decoder = [8]}\n"
        "label = {codec = 'categorical', encoder = [8], decoder = [8]}\n"
    )
    data = f"[data]\nsource = 'mnist'\nroot = '{place}'\nvalidation_from = 15\n"
    return data + modalities + REST, files


Write = Callable[[Path, str], tuple[str, list[Path]]]

FORMATS: dict[str, tuple[Write, str]] = {
    "csv": (write_table, ".csv"),
    "tsv": (write_table, ".tsv"),
    "jsonl": (write_table, ".jsonl"),
    "json": (write_table, ".json"),
    "parquet": (write_table, ".parquet"),
    "arrow": (write_table, ".arrow"),
    "arrow-stream": (write_table, ".stream"),
    "npy": (write_folder, ".npy"),
    "txt": (write_folder, ".txt"),
    "png": (write_folder, ".png"),
    "jpeg": (write_folder, ".jpg"),
    "tiff": (write_folder, ".tif"),
    "webp": (write_folder, ".webp"),
    "gif": (write_folder, ".gif"),
    "bmp": (write_folder, ".bmp"),
    "idx": (write_idx, ""),
    "idx.gz": (write_idx, ".gz"),
}
"""Format → what writes sound data of it, and the ending."""


def write(name: str, folder: Path) -> tuple[Path, list[Path]]:
    """Sound data of a format in a folder: the config that reads them, and the files."""
    maker, ending = FORMATS[name]
    text, files = maker(folder, ending)
    config = folder / "config.toml"
    config.write_text(text)
    return config, files
