"""``mmvae figures``: one figure of one run, or of several side by side."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from mmvae import storage
from mmvae.cli.items import Names
from mmvae.cli.options import example, json_option, print_json, say, set_option
from mmvae.errors import UsageError
from mmvae.report.canvas import Picture, require_matplotlib
from mmvae.report.figures import generated_picture, reconstruction_picture
from mmvae.report.latent import latent_picture
from mmvae.report.subject import MAPPED_ITEMS, SHOWN_ITEMS, Subject
from mmvae.results import open_run
from mmvae.source import SPLITS

F = TypeVar("F", bound=Callable[..., Any])

PNG = ".png"


@click.group(
    epilog=example(
        "mmvae figures latent runs/vae runs/cvae runs/zero --label label --out latent.png",
        "mmvae figures generated runs/kl runs/zero --from label --to image",
    )
)
def command() -> None:
    """Draw one figure of a run, or of several side by side.

    A PNG file, and its caption on standard output: what it shows, and what was run. Needs
    matplotlib: pip install 'mmvae[plot]'.
    """


class PngFile(click.ParamType[Path]):
    """A PNG file to write, refused at once where none can be written."""

    name = "file"

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> Path:
        """Check ending and folder."""
        path = Path(str(value))
        if path.suffix != PNG:
            raise UsageError(f"--out {path}: unknown ending {path.suffix!r}, expected {PNG}.")
        if not path.parent.is_dir():
            raise UsageError(f"--out {path}: there is no folder {path.parent}; make it first.")
        if path.is_dir():
            raise UsageError(f"--out {path} is a folder; expected the name of a file.")
        return path


def runs_argument(command: F) -> F:
    """Add ``RUN…``, passed as ``runs``."""
    path = click.Path(path_type=Path)
    return click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=path)(command)


def split_option(command: F) -> F:
    """Add ``--split``."""
    return click.option(
        "--split", type=click.Choice(SPLITS), help="Items to show; evaluate.split unless given."
    )(command)


def common_options(command: F) -> F:
    """Add ``--seed``, ``-s/--set``, ``--out`` and ``--json``."""
    seed = click.option(
        "--seed",
        type=click.IntRange(min=0),
        help="Governs every draw; evaluate.seed unless given.",
    )
    out = click.option(
        "--out",
        type=PngFile(),
        metavar="FILE.png",
        help="Where to write; an older file is replaced. By default a new file: of one run in "
        "RUN/figures, of several in the working folder.",
    )
    return seed(set_option(out(json_option(command))))


@command.command(
    epilog=example(
        "mmvae figures latent runs/vae runs/cvae runs/zero --out latent.png",
        "mmvae figures latent runs/vae --label label",
        "mmvae figures latent runs/kl runs/zero --given image",
    )
)
@runs_argument
@click.option(
    "--given",
    type=Names(),
    metavar="A,B",
    help="What the posteriors see; all modalities of a run unless given.",
)
@click.option(
    "--label",
    metavar="NAME",
    help="A modality with classes, or a column of the data that the model need not know; the "
    "first modality with classes of any RUN unless given.",
)
@click.option(
    "--items",
    type=click.IntRange(min=2),
    default=MAPPED_ITEMS,
    show_default=True,
    help="How many to show.",
)
@split_option
@common_options
def latent(
    runs: tuple[Path, ...],
    given: tuple[str, ...] | None,
    label: str | None,
    items: int,
    split: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Map samples of q(z|x), coloured by class, with the accuracy of a probe.

    A panel for each RUN, all at one scale; a latent of other than two dimensions is projected onto
    two principal directions. Below each panel, how often the nearest neighbours of an item among
    training items, in all dimensions of z, show its class; with --split train, some of those are
    judged by others.
    """
    subjects = opened(runs, split, seed, overrides)
    write(latent_picture(subjects, given or None, label, items), runs, out, as_json)


@command.command(
    epilog=example(
        "mmvae figures reconstructions runs/kl",
        "mmvae figures reconstructions runs/kl --of image --items 12",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--of",
    "modality",
    metavar="M",
    help="The modality; the first that is shown as pictures unless given.",
)
@click.option(
    "--items",
    type=click.IntRange(1, 100),
    default=SHOWN_ITEMS,
    show_default=True,
    help="How many to show, of different classes.",
)
@split_option
@common_options
def reconstructions(
    run: Path,
    modality: str | None,
    items: int,
    split: str | None,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Show items as they are, and reconstructed from all modalities and from one alone.

    Rows: the input; its best value given all modalities (multiple), and given itself (single).
    """
    (subject,) = opened([run], split, seed, overrides)
    picture, left_out = reconstruction_picture(subject, modality, items)
    for line in left_out:
        say(line)
    write(picture, [run], out, as_json)


@command.command(
    epilog=example(
        "mmvae figures generated runs/kl runs/zero",
        "mmvae figures generated runs/kl --from label --to image --count 10",
    )
)
@runs_argument
@click.option(
    "--from",
    "label",
    metavar="M",
    help="The modality whose classes are given; the first that has any unless given.",
)
@click.option(
    "--to", metavar="M", help="What to generate; the first that is shown as pictures unless given."
)
@click.option(
    "--count",
    type=click.IntRange(1, 50),
    default=6,
    show_default=True,
    help="Samples of each class.",
)
@common_options
def generated(
    runs: tuple[Path, ...],
    label: str | None,
    to: str | None,
    count: int,
    seed: int | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Generate values from each class, several runs side by side.

    A block for each RUN and a row for each class: at the mean of the posterior that sees the class
    alone, and at samples of it, the same noise for each RUN.
    """
    subjects = opened(runs, None, seed, overrides)
    write(generated_picture(subjects, label, to, count), runs, out, as_json)


def opened(
    runs: Sequence[Path], split: str | None, seed: int | None, overrides: tuple[str, ...]
) -> list[Subject]:
    """The runs with models and data, once it is known that pictures can be drawn."""
    require_matplotlib()
    if split is not None:
        overrides = (*overrides, f'evaluate.split="{split}"')
    if seed is not None:
        overrides = (*overrides, f"evaluate.seed={seed}")
    subjects = []
    for run in runs:
        o = open_run(run, overrides=overrides, say=say)
        config = o.experiment.evaluate
        subjects.append(
            Subject(o.run, o.experiment, o.trained, o.data, config.split, config.seed, o.step)
        )
    return subjects


def write(picture: Picture, runs: Sequence[Path], out: Path | None, as_json: bool) -> None:
    """Write the file, and say what it shows and where it is."""
    if out is None:
        folder = runs[0] / "figures" if len(runs) == 1 else Path()
        storage.make_folder(folder)
        out = unused(folder, picture.name)
    older = out.exists()
    storage.write_bytes(out, picture.png)
    if as_json:
        print_json({"out": str(out), "caption": picture.caption, **picture.numbers})
        return
    click.echo(picture.caption)
    say(f"{'Replaced' if older else 'Wrote'} {out}")


def unused(folder: Path, name: str) -> Path:
    """``NAME.png``, or the first of ``NAME-2.png``, … that does not exist."""
    names = itertools.chain([name], (f"{name}-{i}" for i in itertools.count(2)))
    return next(path for n in names if not (path := folder / f"{n}{PNG}").exists())
