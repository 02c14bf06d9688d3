"""The figure ``variations``: a photo, its attributes, and varied faces of those (Fig. 1)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmvae import Picture, Subject
from mmvae_faces.face_model import FaceModel, face_noise
from mmvae_faces.portrait import attribute_values
from mmvae_faces.strip import LISTED, listed, strip


def variations_picture(
    subject: Subject, model: FaceModel, x: Tensor, who: str, count: int, variance: float
) -> Picture:
    """A row for each picture: itself, its predicted attributes, faces of those attributes.

    Args:
        subject: The run.
        model: Its model, with the modalities that are shown.
        x: The pictures, (b, c, h, w).
        who: A description of them, for the caption.
        count: Random faces of each; they share their noise between rows.
        variance: ζ, the variance of the noise: z = μ + √ζ σ ε.

    Raises:
        UsageError: The model cannot predict attributes or generate pictures.
    """
    noise = face_noise(count, model.trained.model.latent_dim, variance, subject.seed)
    show = model.trained.codecs[model.image].show
    with subject.named():
        w = model.read(x)
        averages = show(model.average(w))
        random = [show(model.random(row.expand(count, -1), noise)) for row in w]
    values = attribute_values(model, w)
    rows: list[list[Any]] = [
        [picture, listed(attributes), average, *faces]
        for picture, attributes, average, faces in zip(
            show(x), values, averages, random, strict=True
        )
    ]
    numbered = [f"random {k + 1}" for k in range(count)]
    drawn = strip(["input", "attributes", "average face", *numbered], rows)
    caption = (
        f"{who}: input x; attributes w read off it, the decoder's best value at the best point of "
        f"q(z|x), the {min(LISTED, len(model.names))} highest; the average face at the "
        f"best point of q(z|w); and {count} random faces at z = μ + √ζ σ ε, ζ = {variance:g} (a "
        f"variance), with the same ε in each row; decoders' best values. "
        f"{subject.title}: {subject.origin}"
    )
    numbers = {"attributes": values, "variance": variance}
    return Picture("variations", f"{model.image} varied", caption, drawn, numbers)
