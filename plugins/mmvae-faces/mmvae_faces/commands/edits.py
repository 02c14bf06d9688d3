"""``mmvae figures edits``: faces with one attribute after another changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmvae.cli.drawing import split_option
from mmvae.cli.options import example
from mmvae_faces.commands.face_figure import face_figure
from mmvae_faces.commands.options import edits_option, items_option
from mmvae_faces.edit import PAPER_EDITS, Edit, default_edits

if TYPE_CHECKING:
    from mmvae import Picture, Subject
    from mmvae_faces.face_model import FaceModel


mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures edits runs/faces",
        "mmvae figures edits runs/faces --items 5 --attribute Bald=2 --attribute Male=-2,Bangs=2",
    )
)
@edits_option(", ".join(PAPER_EDITS))
@items_option(3)
@split_option
@face_figure
def command(subject: Subject, model: FaceModel, edits: tuple[Edit, ...], items: int) -> Picture:
    """Change attributes of faces of a split: the paper's Fig. 5.

    Columns: the input, the attributes read off it, their average face, the reconstruction, and for
    each edit the input plus the difference of two average faces, with the edit and without.
    """
    edits = edits or default_edits(PAPER_EDITS, model.names)
    from mmvae_faces.edited import edited_picture

    return edited_picture(subject, model, edits, items)
