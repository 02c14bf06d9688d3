"""The figure ``attribute-faces``: the effect of setting one attribute of a face (Fig. 4a)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mmvae import Picture, Subject
from mmvae.report.canvas import sheet
from mmvae_faces.edit import Edit
from mmvae_faces.face_model import FaceModel, face_noise, random_base
from mmvae_faces.portrait import attribute_values


def attribute_faces_picture(
    subject: Subject, model: FaceModel, edits: Sequence[Edit], count: int, variance: float
) -> Picture:
    """A column for Base and for each edit of it; average face, then random faces.

    Args:
        subject: The run; its seed chooses Base and the noise.
        model: Its model, with the modalities that are shown.
        edits: The edit of each column after the first.
        count: Rows of random faces; a row's noise is the same in every column.
        variance: ζ, the variance of the noise: z = μ + √ζ σ ε.

    Raises:
        UsageError: An edit names no attribute, or the model cannot draw from attributes.
    """
    base = random_base(len(model.names), subject.seed)
    noise = face_noise(count, model.trained.model.latent_dim, variance, subject.seed)
    show = model.trained.codecs[model.image].show
    with subject.named():
        w = torch.cat([base, *(edit.applied(base, model.names) for edit in edits)])
        rows: list[list[Any]] = [["Base", *(edit.label for edit in edits)], show(model.average(w))]
        rows += [show(model.random(w, eps.expand(len(w), -1))) for eps in noise]
    drawn = sheet(rows, ["", "average face", *(f"random {k + 1}" for k in range(count))])
    (values,) = attribute_values(model, base)
    present = ", ".join(name for name, value in values.items() if value > 0) or "none"
    caption = (
        f"{model.image} from {model.attributes}. Base: ±1 at random, present are {present}. In "
        f"each other column what its head names is set in Base. First row: the average face, at "
        f"the mean μ of q(z|w). Below: {count} random faces at z = μ + √ζ σ ε, ζ = {variance:g} "
        f"(a variance); each row has one ε. Decoders' best values. {subject.title}: "
        f"{subject.origin}"
    )
    numbers = {
        "base": values,
        "edits": [edit.values for edit in edits],
        "variance": variance,
    }
    title = f"{model.image} from {model.attributes}"
    return Picture("attribute-faces", title, caption, drawn, numbers)
