"""Items in memory: arrays, a ``datasets.Dataset`` or a DataFrame."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import ExifTags, Image
from pydantic import Field

from mmvae.data.columns import from_tensor
from mmvae.data.in_memory import as_split, is_mapping_like, too_deep
from mmvae.data.source import Source, Split
from mmvae.data.split_names import SPLITS, SplitName
from mmvae.data.splits import CutConfig, cut, doubtful_names, refuse_shared_groups
from mmvae.data.stream_cache import CHUNK
from mmvae.foundations.errors import DataError, short
from mmvae.modalities.column import Column, LazyValues


class MemoryConfig(CutConfig):
    """``[data]`` for data in memory."""

    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of the items for validation, if the data are not split. A fraction "
        "above 0 gives at least one item; 0 gives no validation split.",
    )
    test: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of the items for test, if the data are not split. A fraction above "
        "0 gives at least one item; 0 gives no test split.",
    )


class MemorySource(Source):
    """Items given to :func:`mmvae.train` as ``data=``.

    Args:
        config: The settings for splitting data without splits.
        data: Column → values of equal length (a dict of arrays, a ``datasets.Dataset``, a
            DataFrame), or split → such columns, with ``"train"`` among the splits. An item lacks
            a modality if its value is None, all NaN or all masked. A ``datasets.IterableDataset``
            is read once, in sequence, to a file that is removed at the end of the process.
    """

    kind = "memory"
    Config = MemoryConfig

    def __init__(self, config: MemoryConfig, data: Any = None) -> None:
        super().__init__(config)
        if data is None:
            raise DataError(
                "data.source = 'memory': the items were given in Python and are not kept in the "
                "run. Pass them again as data=, or as a file to commands that take one."
            )
        self._splits: Mapping[SplitName, Split]
        if is_mapping_like(data) and "train" in data:
            unknown = sorted(set(data.keys()) - set(SPLITS))
            if unknown:
                raise DataError(
                    f"data: unknown split {unknown[0]!r}, expected {', '.join(SPLITS)}."
                )
            self._splits = {name: as_split(data[name], name) for name in SPLITS if name in data}
            if config.group is not None:
                refuse_shared_groups(self._splits, config.group)
        else:
            self._splits = cut(as_split(data, "data"), config.validation, config.test, config)

    def splits(self) -> Mapping[SplitName, Split]:
        """See :meth:`mmvae.Source.splits`."""
        return self._splits

    def doubts(self) -> Sequence[str]:
        """Groups that look the same."""
        return list(doubtful_names(self._splits, self.config))

    def fingerprint(self) -> str:
        """A hash over all values and the names of classes."""
        digest = hashlib.sha256()
        for name, split in self._splits.items():
            for key, column in split.columns.items():
                digest.update(f"{name}/{key}/{len(column)}".encode())
                if column.names:  # data without names keep the fingerprint that they had before
                    digest.update(f"/names {list(column.names)!r}".encode())
                if column.num_missing:  # complete data keep the fingerprint that they had before
                    assert column.present is not None
                    digest.update(column.present.tobytes())
                for value in values_of(column.without_missing()):
                    try:
                        content = as_bytes(value)
                    except RecursionError:
                        raise too_deep(column.origin or f"data[{key!r}]") from None
                    digest.update(f"/{form(value)}/{len(content)}/".encode() + content)
        return digest.hexdigest()[:16]


def values_of(column: Column) -> Iterator[Any]:
    """Yield the raw values of a column; of unread ones only a few are in memory."""
    if not isinstance(column.values, LazyValues):
        yield from column.values
        return
    for start in range(0, len(column), CHUNK):
        yield from column.take(range(start, min(start + CHUNK, len(column)))).read().values


def as_bytes(value: Any) -> bytes:
    """The content of one raw value: an array's or picture's bytes, else its text.

    Raises:
        DataError: It contains an object that is identified only by its address in memory.
    """
    if isinstance(value, Image.Image):
        pixels = value.tobytes() + (value.palette.tobytes() if value.palette else b"")
        return pixels + "".join(beside_pixels(value, len(pixels))).encode()
    if hasattr(value, "tobytes") and not of_objects(value):
        return bytes(value.tobytes())
    if isinstance(value, bytes):
        return value
    return repr(described_value(value)).encode()


def beside_pixels(picture: Image.Image, size: int) -> list[str]:
    """The properties on which the colours of a picture depend, apart from its bytes and size.

    Most pictures have none, so they keep the fingerprint that they had before.

    Args:
        picture: The picture.
        size: Bytes of its pixels and its palette.
    """
    found = []
    each, rest = divmod(size, max(1, picture.width * picture.height))  # bytes of a pixel
    usual = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}.get(each) if not rest else None
    if picture.mode not in MODES or usual not in (None, picture.mode):
        found.append(f"/mode {picture.mode}")
    if picture.palette and picture.palette.mode != "RGB":
        found.append(f"/palette {picture.palette.mode}")
    if "transparency" in picture.info:
        found.append(f"/transparency {picture.info['transparency']!r}")
    if (turned := picture.getexif().get(ExifTags.Base.Orientation.value, 1)) != 1:
        found.append(f"/orientation {turned!r}")
    return found


MODES = ("1", "L", "P", "LA", "RGB", "RGBA")
"""Modes of pictures that are recognised by the number of bytes, with few exceptions."""

PLACE = re.compile(r"\bat 0x[0-9a-fA-F]+")
"""How an object that has no text of its own is shown."""


def of_objects(value: Any) -> bool:
    """True for an array of Python objects, whose bytes are addresses in memory."""
    return bool(getattr(getattr(value, "dtype", None), "hasobject", False))


def described_value(value: Any) -> Any:
    """A value with arrays and tensors in it as type and bytes, whose own text would be cut.

    Raises:
        DataError: It contains an object that is identified only by its address in memory.
    """
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        cells = [described_value(cell) for cell in value]
        return cells if isinstance(value, list) else tuple(cells)
    if isinstance(value, dict):
        return {key: described_value(cell) for key, cell in value.items()}
    if hasattr(value, "detach"):
        value = from_tensor(value)
    if of_objects(value):
        return described_value(value.tolist())
    if hasattr(value, "tobytes") and not isinstance(value, np.generic):
        return form(value), as_bytes(value)
    if found := PLACE.search(repr(value)):
        raise DataError(
            f"A value holds {short(value)}, which is identified only by its address in memory "
            f"({found[0]}), so such data have no reproducible fingerprint; expected numbers, "
            f"texts, "
            f"arrays, pictures, or lists of those. Convert it."
        )
    return value


def form(value: Any) -> str:
    """The properties of a value that its bytes omit: type, and shape or size."""
    shape = getattr(value, "shape", getattr(value, "size", ""))
    return f"{type(value).__name__} {getattr(value, 'dtype', '')} {shape}"
