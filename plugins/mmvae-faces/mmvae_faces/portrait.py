"""Portraits: faces, attributes predicted from them, and the faces after edits (Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmvae_faces.edit import Edit
from mmvae_faces.face_model import FaceModel
from mmvae_faces.strip import LISTED, listed, strip

METHOD = (
    "input x; attributes w read off it, the decoder's best value at the best point of "
    f"q(z|x), those edited and the highest others, {LISTED} in all; average face x_mean, "
    "at the best point of q(z|w); reconstruction given x alone; then x + x'_mean − x_mean, where "
    "x'_mean is the average face of w with the attributes named above set. Nothing is drawn at "
    "random."
)
"""The definition of a strip's columns, for captions."""


@dataclass(frozen=True)
class Portraits:
    """Some faces, in model values.

    Attributes:
        x: The pictures, (b, c, h, w).
        w: Attributes predicted from them, (b, a).
        average: x_mean, the average face of those attributes, (b, c, h, w).
        reconstructed: The pictures reconstructed from themselves only, (b, c, h, w).
        changed: For each edit x + x'_mean − x_mean, (b, c, h, w).
    """

    x: Tensor
    w: Tensor
    average: Tensor
    reconstructed: Tensor
    changed: tuple[Tensor, ...]

    @classmethod
    def of(cls, model: FaceModel, x: Tensor, edits: Sequence[Edit]) -> Portraits:
        """Portraits of pictures (b, c, h, w).

        Raises:
            UsageError: An edit names no attribute, or the model cannot read or draw.
        """
        x = x.cpu()
        w = model.read(x)
        changes = [edit.applied(w, model.names) for edit in edits]
        changed = tuple(model.changed(x, w, other) for other in changes)
        return cls(x, w, model.average(w), model.reconstructed(x), changed)


def portrait_strip(model: FaceModel, portraits: Portraits, edits: Sequence[Edit]) -> bytes:
    """A row for each portrait: input, attributes, average, reconstruction, edits: a PNG file."""
    show = model.trained.codecs[model.image].show
    first = list(dict.fromkeys(name for edit in edits for name in edit.values))
    lists = [listed(values, first) for values in attribute_values(model, portraits.w)]
    columns: list[Sequence[Any]] = [show(portraits.x), lists, show(portraits.average)]
    columns += [show(portraits.reconstructed), *map(show, portraits.changed)]
    titles = ["input", "attributes", "average face", "reconstruction"]
    return strip([*titles, *(edit.label for edit in edits)], list(zip(*columns, strict=True)))


def attribute_values(model: FaceModel, w: Tensor) -> list[dict[str, float]]:
    """Attribute → value for each row of w (b, a)."""
    return [dict(zip(model.names, row, strict=True)) for row in w.tolist()]
