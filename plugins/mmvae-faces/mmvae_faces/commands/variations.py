"""``mmvae figures variations``: a photo, its attributes, and varied faces of those."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmvae.cli.drawing import split_option
from mmvae.cli.options import example
from mmvae_faces.commands.face_figure import face_figure
from mmvae_faces.commands.options import (
    PAPER_VARIANCE,
    crop_options,
    items_option,
    variance_option,
)

if TYPE_CHECKING:
    from mmvae import Picture, Subject
    from mmvae_faces.face_model import FaceModel
    from mmvae_faces.photo import CropKind


mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures variations runs/faces",
        "mmvae figures variations runs/faces --photo me.jpg --count 9",
    )
)
@click.option(
    "--photo",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A photograph, in place of items of the split.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 20),
    default=6,
    show_default=True,
    help="Number of random faces generated from the attributes.",
)
@variance_option(PAPER_VARIANCE)
@items_option(2)
@crop_options
@split_option
@face_figure
def command(
    subject: Subject,
    model: FaceModel,
    photo: Path | None,
    count: int,
    variance: float,
    items: int,
    crop: CropKind | None,
    which: int | None,
) -> Picture:
    """Read attributes off a photo and draw varied faces from them: the paper's Fig. 1."""
    from mmvae_faces.photo import PhotoCrop, photo_input
    from mmvae_faces.variations import variations_picture

    if photo is None:
        x = subject.few(items).x[model.image]
        who = f"{len(x)} {subject.split} items"
    else:
        data = subject.experiment.data
        with subject.named():
            cut = PhotoCrop.of(data.source, data, crop)
        x, who = photo_input(model, cut, photo, which), photo.name
    return variations_picture(subject, model, x, who, count, variance)
