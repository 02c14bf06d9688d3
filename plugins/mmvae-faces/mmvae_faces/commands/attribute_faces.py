"""``mmvae figures attribute-faces``: the effect of setting one attribute of a face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmvae.cli.options import example
from mmvae_faces.commands.face_figure import face_figure
from mmvae_faces.commands.options import (
    PAPER_VARIANCE,
    edits_option,
    variance_option,
)
from mmvae_faces.edit import PAPER_SETTINGS, Edit, default_edits

if TYPE_CHECKING:
    from mmvae import Picture, Subject
    from mmvae_faces.face_model import FaceModel


mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures attribute-faces runs/faces",
        "mmvae figures attribute-faces runs/faces --attribute Bald=2 --count 8",
    )
)
@edits_option(", ".join(PAPER_SETTINGS))
@click.option(
    "--count",
    type=click.IntRange(0, 50),
    default=5,
    show_default=True,
    help="Number of random faces, one per row.",
)
@variance_option(PAPER_VARIANCE)
@face_figure
def command(
    subject: Subject, model: FaceModel, edits: tuple[Edit, ...], count: int, variance: float
) -> Picture:
    """Draw faces from random attributes, then with one set at a time: the paper's Fig. 4a.

    Base has ±1 at random; in each other column one attribute is set in it. Above the average face,
    below it random faces, whose noise is the same along each row.
    """
    from mmvae_faces.attribute_faces import attribute_faces_picture

    edits = edits or default_edits(PAPER_SETTINGS, model.names)
    return attribute_faces_picture(subject, model, edits, count, variance)
