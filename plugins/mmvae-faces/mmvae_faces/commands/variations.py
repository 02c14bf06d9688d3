"""``mmvae figures variations``: a photo, its attributes, and varied faces of those."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.drawing import common_options, opened, run_argument, split_option, write
from mmvae.cli.options import example
from mmvae_faces.commands.options import (
    PAPER_VARIANCE,
    crop_options,
    items_option,
    modality_options,
    variance_option,
)
from mmvae_faces.face_model import FaceModel
from mmvae_faces.photo import CropKind, PhotoCrop, photo_input
from mmvae_faces.variations import variations_picture

mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures variations runs/faces",
        "mmvae figures variations runs/faces --photo me.jpg --count 9",
    )
)
@run_argument
@click.option(
    "--photo",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A photograph in place of items of the split.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 20),
    default=6,
    show_default=True,
    help="Random faces from the attributes.",
)
@variance_option(PAPER_VARIANCE)
@items_option(2)
@crop_options
@modality_options
@split_option
@common_options
def command(
    run: Path,
    photo: Path | None,
    count: int,
    variance: float,
    items: int,
    crop: CropKind | None,
    which: int | None,
    image: str | None,
    attributes: str | None,
    split: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Read attributes off a photo and draw varied faces from them: the paper's Fig. 1."""
    (subject,) = opened([run], split, seed, overrides)
    with subject.named():
        model = FaceModel.of(subject.trained, image, attributes)
    if photo is None:
        x = subject.few(items).x[model.image]
        who = f"{len(x)} {subject.split} items"
    else:
        data = subject.experiment.data
        with subject.named():
            cut = PhotoCrop.of(data.source, data, crop)
        x, who = photo_input(model, cut, photo, which), photo.name
    picture = variations_picture(subject, model, x, who, count, variance)
    write(picture, [run], out, as_json)
