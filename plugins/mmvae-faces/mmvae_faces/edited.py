"""The figure ``edits``: faces of a split with one attribute after another changed (Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence

from mmvae import Picture, Subject
from mmvae_faces.edit import Edit
from mmvae_faces.face_model import FaceModel
from mmvae_faces.portrait import METHOD, Portraits, attribute_values, portrait_strip


def edited_picture(
    subject: Subject, model: FaceModel, edits: Sequence[Edit], items: int
) -> Picture:
    """A row for each of some items.

    Args:
        subject: The run.
        model: Its model, with the modalities that are shown.
        edits: A column for each.
        items: How many rows.

    Raises:
        UsageError: An edit names no attribute, or the model cannot read or draw.
    """
    batch = subject.few(items)
    with subject.named():
        portraits = Portraits.of(model, batch.x[model.image], edits)
    numbers = {
        "edits": [edit.values for edit in edits],
        "attributes": attribute_values(model, portraits.w),
    }
    caption = f"{len(batch)} {subject.split} items: {METHOD} {subject.title}: {subject.origin}"
    drawn = portrait_strip(model, portraits, edits)
    return Picture(
        "edits", f"{model.image} with other {model.attributes}", caption, drawn, numbers
    )
