"""``mmvae figures``: one figure of one run, or of several side by side."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.drawing import (
    common_options,
    opened,
    run_argument,
    runs_argument,
    split_option,
    write,
)
from mmvae.cli.items import Names
from mmvae.cli.offered import OpenGroup
from mmvae.cli.options import example, say
from mmvae.plugins.entry_points import FIGURE_ENTRIES
from mmvae.report.item_counts import MAPPED_ITEMS, SHOWN_ITEMS


@click.group(
    cls=OpenGroup,
    entries=FIGURE_ENTRIES,
    word="figure",
    epilog=example(
        "mmvae figures latent runs/vae runs/cvae runs/zero --label label --out latent.png",
        "mmvae figures generated runs/kl runs/zero --from label --to image",
    ),
)
def command() -> None:
    """Draw one figure of a run, or of several side by side.

    A PNG file, and its caption on standard output: what it shows, and what was run. Needs
    matplotlib: pip install 'mmvae[plot]'.
    """


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
    help="Modalities that the posteriors see; all modalities of a run unless given.",
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
    help="Number of items to show.",
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

    There is one panel for each RUN, all at one scale. A latent that is not two-dimensional is
    projected on two principal components. The number below each panel is the accuracy of a
    nearest-neighbour classifier that finds an item's neighbours among training items, in all
    dimensions of z; with --split train, some training items are classified by the others.
    """
    from mmvae.report.latent import latent_picture

    subjects = opened(runs, split, seed, overrides)
    write(latent_picture(subjects, given or None, label, items), runs, out, as_json)


@command.command(
    epilog=example(
        "mmvae figures reconstructions runs/kl",
        "mmvae figures reconstructions runs/kl --of image --items 12",
    )
)
@run_argument
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
    help="Number of items to show, of different classes.",
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

    Rows: the input; its point estimate given all modalities (multiple), and given the input
    alone (single).
    """
    from mmvae.report.figures import reconstruction_picture

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
    "--to",
    metavar="M",
    help="Modality to generate; the first that is shown as pictures unless given.",
)
@click.option(
    "--count",
    type=click.IntRange(1, 50),
    default=6,
    show_default=True,
    help="Number of samples of each class.",
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

    There is a block for each RUN and a row for each class: the value at the mean of the
    posterior given the class alone, and at samples of it, with the same noise for each RUN.
    """
    from mmvae.report.figures import generated_picture

    subjects = opened(runs, None, seed, overrides)
    write(generated_picture(subjects, label, to, count), runs, out, as_json)
