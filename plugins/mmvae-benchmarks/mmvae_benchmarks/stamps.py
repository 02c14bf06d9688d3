"""Stamps: the pictures of Tux Paint with captions in many languages, as Debian packages them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydantic import Field

from mmvae import (
    Column,
    DataError,
    LazyValues,
    Source,
    SourceConfig,
    Split,
    SplitName,
    nearest,
)
from mmvae.data.fingerprints import contents
from mmvae.data.paths import found_folder
from mmvae.data.pictures import begun, size_in_memory
from mmvae.data.size_bounds import MIB, Bounds
from mmvae.data.splits import split_items
from mmvae.modalities.column import row_index

Array = np.ndarray[Any, Any]

DEBIAN = "/usr/share/tuxpaint/stamps"
"""The path of Debian's package."""

HOW_TO_GET = (
    "On Debian and Ubuntu: apt install tuxpaint-stamps-default. Elsewhere unpack the Tux Paint "
    "stamps and name their folder with -s data.root=FOLDER."
)

MOST_PIXELS = 50_000_000
"""Maximum number of pixels: larger pictures are refused before decoding."""

PICTURE, CAPTIONS = Bounds(file=64 * MIB), Bounds(file=MIB)
"""How much a file of a picture, and one of captions, may hold."""

MIRRORED = re.compile(r"(_mirror|_flip)+$")
"""Suffix of the names of variants that Tux Paint shows in place of a mirrored or turned stamp."""

ENGLISH = "en"


class StampsConfig(SourceConfig):
    """Keys of ``[data] source = "stamps"``."""

    root: str = Field(
        DEBIAN,
        description="Folder of the stamps. The default is the folder of the Debian package.",
    )
    size: int = Field(
        32,
        ge=1,
        description="Side of the pictures in pixels. A stamp is scaled and centred on white.",
    )
    language: str = Field(
        ENGLISH,
        description="Language of the captions, as Tux Paint writes it, such as 'de' or 'pt_BR'.",
    )
    validation: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Fraction of the items for validation.",
    )
    test: float = Field(0.1, ge=0, lt=1, description="Fraction of the items for test.")
    split_seed: int = Field(0, ge=0, description="Seed of the split.")


class Stamps(Source):
    """Columns ``picture`` (uint8, size×size×3), ``caption`` (text) and ``category``.

    A stamp drawn only in SVG lacks its picture; a stamp without a translation lacks its caption.
    """

    kind = "stamps"
    Config = StampsConfig

    def splits(self) -> Mapping[SplitName, Split]:
        """Train, validation and test; a stamp and its mirrored variant are in the same one."""
        return self._splits

    def fingerprint(self) -> str:
        """Hash of the files' names and contents, and of the keys."""
        digest = hashlib.blake2b(digest_size=16)
        named = [(n, e, files[e]) for n, files in self._stamps.items() for e in sorted(files)]
        known = contents([file for _, _, file in named])
        for (name, ending, _), content in zip(named, known, strict=True):
            digest.update(f"{name}{ending}/{content}\n".encode())
        keys = self.config.model_dump(exclude={"root", *SourceConfig.model_fields})
        digest.update(repr(sorted(keys.items())).encode())
        return digest.hexdigest()

    def remarks(self) -> tuple[str, ...]:
        """The number of stamps that lack a picture or a caption."""
        splits = self._splits.values()
        items, drawn, captioned = (
            sum(len(s) - s.columns[name].num_missing if name else len(s) for s in splits)
            for name in ("", "picture", "caption")
        )
        return (
            f"{items} stamps: {drawn} with a picture (the others are drawn in SVG alone), "
            f"{captioned} with a caption in {self.config.language!r}.",
        )

    @cached_property
    def _stamps(self) -> dict[str, dict[str, Path]]:
        """Name of each stamp, such as ``animals/birds/owl`` → ending → file."""
        root = found_folder(self.config.root, "data.root", HOW_TO_GET)
        found: dict[str, dict[str, Path]] = {}
        for file in sorted(root.rglob("*")):
            if file.suffix.lower() in (".png", ".svg", ".txt") and file.parent != root:
                name = file.relative_to(root).with_suffix("").as_posix()
                found.setdefault(name, {})[file.suffix.lower()] = file
        stamps = {
            name: files for name, files in found.items() if ".png" in files or ".svg" in files
        }
        if not stamps:
            raise DataError(
                f"{root}: no stamps in it, expected folders such as animals with pictures. "
                f"{HOW_TO_GET}"
            )
        for name, files in stamps.items():  # a variant has the caption of its original
            if ".txt" not in files and ".txt" in found.get(base := original(name), {}):
                files[".txt"] = found[base][".txt"]
        return stamps

    @cached_property
    def _splits(self) -> dict[SplitName, Split]:
        config: StampsConfig = self.config
        names = list(self._stamps)
        pictures = [files.get(".png") for files in self._stamps.values()]
        captions = self._captions()
        tops = [name.partition("/")[0] for name in names]
        kinds, root = tuple(sorted(set(tops))), config.root
        codes = np.array([kinds.index(top) for top in tops])
        columns = {
            "picture": Column(
                ScaledPictures(pictures, config.size), None, f"{root}, pictures", known(pictures)
            ),
            "caption": Column(captions, None, f"{root}, captions", known(captions)),
            "category": Column(codes, kinds, f"{root}, folders"),
        }
        _, groups = np.unique([original(name) for name in names], return_inverse=True)
        items = Split(columns, names)
        return split_items(items, config.validation, config.test, config.split_seed, groups)

    def _captions(self) -> list[str | None]:
        """The caption of each stamp in the language, or None.

        Raises:
            DataError: None is translated into it.
        """
        language, languages = self.config.language, set[str]()
        captions: list[str | None] = []
        for files in self._stamps.values():
            texts = read_captions(files[".txt"]) if ".txt" in files else {}
            languages.update(texts)
            captions.append(texts.get(language) or None)
        if not any(captions):
            raise DataError(
                f"data.language = {language!r}: no stamp in {self.config.root} has a caption in "
                f"it; there are {', '.join(sorted(languages)) or 'none at all'}."
                f"{nearest(language, languages)}"
            )
        return captions


class ScaledPictures(LazyValues):
    """Pictures of files on a white square, uint8 (n, size, size, 3), read on demand.

    Args:
        files: The file of each item; None if there is none, which is read as white.
        size: Side of the square.
    """

    def __init__(self, files: Sequence[Path | None], size: int) -> None:
        self.files, self.size = files, size

    def __len__(self) -> int:
        return len(self.files)

    def take(self, rows: Sequence[int] | Array) -> ScaledPictures:
        """See :meth:`mmvae.LazyValues.take`."""
        return ScaledPictures([self.files[int(i)] for i in row_index(rows)], self.size)

    def read(self) -> Array:
        """See :meth:`mmvae.LazyValues.read`.

        Raises:
            DataError: A file is not a picture.
        """
        pixels = np.full((len(self), self.size, self.size, 3), 255, np.uint8)
        for row, file in enumerate(self.files):
            if file is not None:
                pixels[row] = np.asarray(scaled(file, self.size))
        return pixels


def scaled(file: Path, size: int) -> Image.Image:
    """A picture scaled to fit a white square, centred in it.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with PICTURE.open(file) as encoded, begun(encoded) as opened:
            height, width = size_in_memory(opened)
            if height * width > MOST_PIXELS:
                raise ValueError(f"{height:,}×{width:,} pixels, expected {MOST_PIXELS:,} at most")
            picture = opened.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: no picture ({error}). Install the stamps again.") from None
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (size, size), "white")
    square.paste(picture, ((size - width) // 2, (size - height) // 2), picture)
    return square


def read_captions(file: Path) -> dict[str, str]:
    """Language → caption: English on the first line, the others as ``de.utf8=…``.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with CAPTIONS.open(file) as opened:
            lines = opened.read().decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read ({error}). Install the stamps again.") from None
    found = {ENGLISH: lines[0].strip()} if lines else {}
    for line in lines[1:]:
        language, ending, caption = line.partition(".utf8=")
        if ending and caption.strip():
            found[language.strip()] = caption.strip()
    return found


def original(name: str) -> str:
    """The stamp that a mirrored variant belongs to; other stamps belong to themselves."""
    return MIRRORED.sub("", name)


def known(values: Sequence[Any]) -> Array | None:
    """Mask of the items that have a value, as columns need it: None if all have."""
    present = np.array([value is not None for value in values])
    return None if present.all() else present
