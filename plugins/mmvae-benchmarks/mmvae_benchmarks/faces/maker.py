"""The maker ``faces``: CelebA's files, names and layout, with drawn faces for photographs."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from PIL import Image
from pydantic import Field

from mmvae import Maker, MakerConfig
from mmvae_benchmarks.faces.attributes import NAMES, draw_attributes
from mmvae_benchmarks.faces.drawing import draw
from mmvae_benchmarks.faces.face import Face
from mmvae_benchmarks.faces.look import Look

PICTURES, ATTRIBUTES, PARTITION = (
    "img_align_celeba",
    "list_attr_celeba.txt",
    "list_eval_partition.txt",
)
VALIDATION_FROM, TEST_FROM = 162_770 / 202_599, 182_637 / 202_599
"""Boundaries of CelebA's own partition: the pictures in order, 80 % for training."""

_ATTRIBUTES, _LOOK, _NOISE = range(3)  # the purposes of one face's random numbers


class FacesConfig(MakerConfig):
    """Settings of the maker."""

    items: int = Field(
        ge=1,
        le=999_999,
        description="Number of faces. The limit comes from the six digits of a file name.",
    )


class Faces(Maker):
    """Procedural faces of 178×218 pixels with the forty attributes, and a partition."""

    kind = "faces"
    Config = FacesConfig

    def make(self, rows: range) -> Iterator[tuple[str, bytes]]:
        """One JPEG file for each face."""
        for index in rows:
            file = io.BytesIO()
            self.picture(index).save(file, "JPEG", quality=92)
            yield f"{PICTURES}/{file_name(index)}", file.getvalue()

    def finish(self) -> Iterator[tuple[str, bytes]]:
        """The attributes of all faces, and the split of each."""
        items = self.config.items
        lines = [str(items), " ".join(NAMES)]
        for index in range(items):
            signs = " ".join(" 1" if has else "-1" for has in self.attributes(index).values())
            lines.append(f"{file_name(index)} {signs}")
        yield ATTRIBUTES, "".join(f"{line}\n" for line in lines).encode()
        cuts = np.rint(np.array([VALIDATION_FROM, TEST_FROM]) * items)
        parts = np.searchsorted(cuts, np.arange(items), side="right")
        table = "".join(f"{file_name(i)} {part}\n" for i, part in enumerate(parts))
        yield PARTITION, table.encode()

    def attributes(self, index: int) -> dict[str, bool]:
        """The attributes of face ``index``, counted from 0."""
        return draw_attributes(self._random(index, _ATTRIBUTES))

    def picture(self, index: int, **changed: bool) -> Image.Image:
        """Draw face ``index``, counted from 0, perhaps with some attributes changed by name."""
        face = Face(self.attributes(index) | changed, Look(self._random(index, _LOOK)))
        return draw(face, self._random(index, _NOISE))

    def _random(self, index: int, purpose: int) -> np.random.Generator:
        """A generator of its own for each face and purpose, so that faces are independent."""
        return np.random.Generator(np.random.PCG64([self.config.seed, index, purpose]))


def file_name(index: int) -> str:
    """Name of a picture's file: CelebA counts from 1."""
    return f"{index + 1:06d}.jpg"
