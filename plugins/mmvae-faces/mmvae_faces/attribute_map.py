"""The figure ``attribute-map``: the position of z when one attribute is set (Fig. 4b)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmvae import Picture, Subject, UsageError
from mmvae.report.classes import MOST_CLASSES, Classes
from mmvae.report.clouds import Cloud, draw_clouds
from mmvae.report.projection import Projection
from mmvae_faces.edit import Edit
from mmvae_faces.face_model import FaceModel, face_noise, random_base


def attribute_map_picture(
    subject: Subject, model: FaceModel, edits: Sequence[Edit], samples: int, variance: float
) -> Picture:
    """Samples of q(z|w) in two dimensions, for Base and for each edit of it.

    Args:
        subject: The run; its seed chooses Base and the noise.
        model: Its model, with the modality of attributes.
        edits: A colour for each, and one for Base.
        samples: Number of samples of each.
        variance: ζ, the variance of the noise; 1 samples the posterior itself.

    Raises:
        UsageError: An edit names no attribute, there are too many, or the model cannot do it.
    """
    if len(edits) >= MOST_CLASSES:
        raise UsageError(
            f"{len(edits)} attributes and Base are too many to distinguish; expected fewer than "
            f"{MOST_CLASSES}."
        )
    base = random_base(len(model.names), subject.seed)
    with subject.named():
        settings = torch.cat([base, *(edit.applied(base, model.names) for edit in edits)])
        w = settings.repeat_interleave(samples, 0)
        noise = face_noise(len(w), model.trained.model.latent_dim, variance, subject.seed)
        points = model.latents(w, noise)
    projection = Projection.of(points)
    codes = torch.arange(len(settings)).repeat_interleave(samples)
    names = ("Base", *(edit.label for edit in edits))
    classes = Classes("what is set in Base", names, {subject.split: codes})
    cloud = Cloud(subject.title, projection(points), points.shape[1] == 2, codes)
    how = (
        "as they are"
        if cloud.own
        else f"along their two principal directions, which hold {100 * projection.share:.0f} % of "
        f"the variance"
    )
    caption = (
        f"{samples} samples of q(z|{model.attributes}) for Base, ±1 at random, and for each "
        f"attribute set in it, at z = μ + √ζ σ ε, ζ = {variance:g}; {how}. "
        f"{subject.title}: {subject.origin}"
    )
    numbers = {
        "share of variance": projection.share,
        "edits": [edit.values for edit in edits],
        "variance": variance,
    }
    title = f"Latents by {model.attributes}"
    return Picture("attribute-map", title, caption, draw_clouds([cloud], classes), numbers)
