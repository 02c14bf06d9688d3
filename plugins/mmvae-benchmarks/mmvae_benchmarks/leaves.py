"""The maker ``leaves``: one realistic Parquet file with mixed column types and missing values."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from mmvae import Maker

FILE = "leaves.parquet"

PER_PLANT = 5
"""Number of leaves from one plant, which look alike."""

HAS_MISSING = {"picture": 0.1, "size": 0.2, "note": 0.5, "kind": 0.3}
"""Share of the leaves that lack each; another tenth of the cells of ``size`` is missing."""

SIDE, SCALE = 16, 10.0  # pixels; millimetres from the middle of the picture to its edge


@dataclass(frozen=True)
class Kind:
    """A kind of plant: mean length of its leaves in millimetres, and width by length."""

    name: str
    length: float
    shape: float


KINDS = (Kind("willow", 16.0, 0.22), Kind("beech", 12.0, 0.60), Kind("poplar", 9.0, 0.95))


class Leaves(Maker):
    """Drawn leaves: ``picture``, ``size`` (three numbers), ``note``, ``kind`` and ``plant``."""

    kind = "leaves"

    def make(self, rows: range) -> Iterator[tuple[str, bytes]]:
        """No files of single leaves."""
        return iter(())

    def finish(self) -> Iterator[tuple[str, bytes]]:
        """The table of all leaves."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = [self.leaf(index) for index in range(self.config.items)]
        schema = pa.schema(
            {
                "picture": pa.binary(),
                "size": pa.list_(pa.float64()),
                "note": pa.string(),
                "kind": pa.string(),
                "plant": pa.int64(),
            }
        )
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema), file)
        yield FILE, file.getvalue()

    def leaf(self, index: int) -> dict[str, Any]:
        """One leaf, from 0; None for a missing modality, NaN for a missing cell of its size."""
        plant = self._random(index // PER_PLANT, 0)
        kind = KINDS[plant.integers(len(KINDS))]
        own = self._random(index, 1)
        length = kind.length * np.exp(plant.normal(0, 0.12) + own.normal(0, 0.05))
        width = length * kind.shape * np.exp(plant.normal(0, 0.08) + own.normal(0, 0.05))
        size = np.array([length, width, np.pi / 4 * length * width])
        row = {
            "picture": png(length, width, own.uniform(0, np.pi)),
            "size": np.where(own.random(3) < 0.1, np.nan, size.round(2)).tolist(),
            "note": note(length, width / length),
            "kind": kind.name,
        }
        gone = {name for name, share in HAS_MISSING.items() if own.random() < share}
        if gone == row.keys():
            gone.remove("size")
        lacking: dict[str, Any] = {name: None for name in gone}
        return row | lacking | {"plant": index // PER_PLANT}

    def _random(self, index: int, purpose: int) -> np.random.Generator:
        """A random generator of its own for each plant and each leaf."""
        return np.random.Generator(np.random.PCG64([self.config.seed, index, purpose]))


def note(length: float, shape: float) -> str:
    """A short note: size and shape in words."""
    long = "long" if length > 13 else "short" if length < 8.5 else "middling"
    wide = "narrow" if shape < 0.4 else "round" if shape > 0.8 else "oval"
    return f"{long}, {wide}"


def png(length: float, width: float, angle: float) -> bytes:
    """A dark leaf on white, grey 16×16 pixels, as a PNG file."""
    y, x = (np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2) * 2 * SCALE / SIDE
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    inside = np.hypot(2 * along / length, 2 * across / width)  # 1 at the edge
    edge = np.clip((1 - inside) * width / 2 + 0.5, 0, 1)
    file = io.BytesIO()
    Image.fromarray((255 - 215 * edge).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
