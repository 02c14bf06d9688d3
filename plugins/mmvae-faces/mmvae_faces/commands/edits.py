"""``mmvae figures edits``: faces with one attribute after another changed."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.drawing import common_options, opened, run_argument, split_option, write
from mmvae.cli.options import example
from mmvae_faces.commands.options import edits_option, items_option, modality_options
from mmvae_faces.edit import PAPER_EDITS, Edit, default_edits
from mmvae_faces.edited import edited_picture
from mmvae_faces.face_model import FaceModel

mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae figures edits runs/faces",
        "mmvae figures edits runs/faces --items 5 --attribute Bald=2 --attribute Male=-2,Bangs=2",
    )
)
@run_argument
@edits_option(", ".join(PAPER_EDITS))
@items_option(3)
@modality_options
@split_option
@common_options
def command(
    run: Path,
    edits: tuple[Edit, ...],
    items: int,
    image: str | None,
    attributes: str | None,
    split: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Change attributes of faces of a split: the paper's Fig. 5.

    Columns: the input, the attributes read off it, their average face, the reconstruction, and for
    each edit the input plus the difference of two average faces, with the edit and without.
    """
    (subject,) = opened([run], split, seed, overrides)
    with subject.named():
        model = FaceModel.of(subject.trained, image, attributes)
    edits = edits or default_edits(PAPER_EDITS, model.names)
    write(edited_picture(subject, model, edits, items), [run], out, as_json)
