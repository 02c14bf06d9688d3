"""``mmvae edit``: any photograph with other attributes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmvae import UsageError
from mmvae.cli.drawing import PngFile, write
from mmvae.cli.options import example, json_option
from mmvae_faces.commands.options import crop_options, edits_option, modality_options
from mmvae_faces.edit import PAPER_EDITS, Edit, default_edits

if TYPE_CHECKING:
    from mmvae.experiments.experiment import Experiment
    from mmvae_faces.face_model import FaceModel
    from mmvae_faces.photo import CropKind


mmvae_contract = 1


@click.command(
    epilog=example(
        "mmvae edit runs/faces photo.jpg",
        "mmvae edit runs/faces photo.jpg --attribute Smiling=2 --attribute Male=-2,Bald=2",
        "mmvae edit runs/faces group.jpg --face 2 --out second.png --json",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("photo", metavar="PHOTO", type=click.Path(path_type=Path))
@edits_option(", ".join(PAPER_EDITS))
@crop_options
@modality_options
@click.option(
    "--out",
    type=PngFile(),
    metavar="FILE.png",
    help="Output file; an existing file is replaced. Default: edited.png, edited-2.png, …",
)
@json_option
def command(
    run: Path,
    photo: Path,
    edits: tuple[Edit, ...],
    crop: CropKind | None,
    which: int | None,
    image: str | None,
    attributes: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Change attributes of the face in PHOTO by the model of RUN: the paper's Fig. 5 of anyone.

    The face is found and cut as those that RUN was trained on, whose data are not needed. One
    strip is written: the face, the attributes read off it, their average face, the
    reconstruction, and the face with each edit.
    """
    from mmvae import Picture
    from mmvae.report.canvas import require_matplotlib
    from mmvae_faces.photo import PhotoCrop, photo_input
    from mmvae_faces.portrait import METHOD, Portraits, attribute_values, portrait_strip

    require_matplotlib()
    experiment, step, model = opened_model(run, image, attributes)
    edits = edits or default_edits(PAPER_EDITS, model.names)
    with named(run):
        cut = PhotoCrop.of(experiment.data.source, experiment.data, crop)
    x = photo_input(model, cut, photo, which)
    with named(run):
        portraits = Portraits.of(model, x, edits)
    caption = (
        f"{photo.name}: {METHOD} Experiment {experiment.name}, step {step}, training seed "
        f"{experiment.train.seed}."
    )
    (values,) = attribute_values(model, portraits.w)
    numbers = {"edits": [edit.values for edit in edits], "attributes": values}
    drawn = portrait_strip(model, portraits, edits)
    write(
        Picture("edited", "A photograph, edited", caption, drawn, numbers),
        [],
        out,
        as_json,
        [photo],
    )


def opened_model(
    run: Path, image: str | None, attributes: str | None
) -> tuple[Experiment, int, FaceModel]:
    """A run's configuration, the step of its weights, and its model, without its data."""
    from mmvae.experiments.config import load_experiment
    from mmvae.inference.model_folder import built, saved_model, weights_step
    from mmvae.plugins.loader import load_registry
    from mmvae.runs.run import Run
    from mmvae_faces.face_model import FaceModel

    registry = load_registry()
    folder = Run.open(run)
    experiment = load_experiment(folder.resolved, (), registry).experiment
    saved = saved_model(run)
    with named(run):
        model = FaceModel.of(built(saved, run, registry), image, attributes)
    return experiment, weights_step(saved), model


@contextmanager
def named(run: Path) -> Iterator[None]:
    """Prefix errors of the model or the data with the run's folder."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{run}: {error}") from error
