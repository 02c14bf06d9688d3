"""``mmvae figures attribute-map``: the position of z when one attribute is set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmvae.cli.options import example
from mmvae_faces.commands.face_figure import face_figure
from mmvae_faces.commands.options import edits_option, variance_option
from mmvae_faces.edit import PAPER_SETTINGS, Edit, default_edits

if TYPE_CHECKING:
    from mmvae import Picture, Subject
    from mmvae_faces.face_model import FaceModel


mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures attribute-map runs/faces",
        "mmvae figures attribute-map runs/faces --attribute Bald=2 --attribute Bald=-2",
    )
)
@edits_option(", ".join(PAPER_SETTINGS))
@click.option(
    "--samples",
    type=click.IntRange(2, 10_000),
    default=200,
    show_default=True,
    help="Number of samples of z per colour.",
)
@variance_option(1.0)
@face_figure
def command(
    subject: Subject, model: FaceModel, edits: tuple[Edit, ...], samples: int, variance: float
) -> Picture:
    """Map samples of q(z|w) with one attribute set, coloured by it: the paper's Fig. 4b.

    Base has ±1 at random, the same as in attribute-faces; each colour is Base with one attribute
    set. Latents of more than two dimensions are shown along their two principal directions.
    """
    from mmvae_faces.attribute_map import attribute_map_picture

    with subject.named():
        edits = edits or default_edits(PAPER_SETTINGS, model.names)
        return attribute_map_picture(subject, model, edits, samples, variance)
