"""``mmvae figures attribute-faces``: what setting one attribute does to a face."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.drawing import common_options, opened, run_argument, write
from mmvae.cli.options import example
from mmvae_faces.attribute_faces import attribute_faces_picture
from mmvae_faces.commands.options import (
    PAPER_VARIANCE,
    edits_option,
    modality_options,
    variance_option,
)
from mmvae_faces.edit import PAPER_SETTINGS, Edit, default_edits
from mmvae_faces.face_model import FaceModel

mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures attribute-faces runs/faces",
        "mmvae figures attribute-faces runs/faces --attribute Bald=2 --count 8",
    )
)
@run_argument
@edits_option(", ".join(PAPER_SETTINGS))
@click.option(
    "--count",
    type=click.IntRange(0, 50),
    default=5,
    show_default=True,
    help="Random faces, a row for each.",
)
@variance_option(PAPER_VARIANCE)
@modality_options
@common_options
def command(
    run: Path,
    edits: tuple[Edit, ...],
    count: int,
    variance: float,
    image: str | None,
    attributes: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Draw faces from random attributes, then with one set at a time: the paper's Fig. 4a.

    Base has ±1 at random; in each other column one attribute is set in it. Above the average face,
    below it random faces, whose noise is the same along each row.
    """
    (subject,) = opened([run], None, seed, overrides)
    with subject.named():
        model = FaceModel.of(subject.trained, image, attributes)
    edits = edits or default_edits(PAPER_SETTINGS, model.names)
    picture = attribute_faces_picture(subject, model, edits, count, variance)
    write(picture, [run], out, as_json)
