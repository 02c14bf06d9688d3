"""``mmvae resume``: resume a run where it stopped."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.options import example, set_option
from mmvae.cli.training import conclude, limit_options, progress, stopped_together


@click.command(
    epilog=example(
        "mmvae resume runs/digits/20260101T120000Z-1a2b3c",
        "mmvae resume runs/short -s train.epochs=200",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@set_option
@click.option(
    "--from",
    "checkpoint",
    default="latest",
    metavar="NAME",
    show_default=True,
    help="The checkpoint to resume from: latest, or a folder's name in RUN/checkpoints.",
)
@click.option(
    "--other-data",
    is_flag=True,
    help="Resume although the data differ from those that RUN was trained on.",
)
@limit_options
def command(
    run: Path,
    overrides: tuple[str, ...],
    checkpoint: str,
    other_data: bool,
    max_steps: int | None,
    max_seconds: float | None,
) -> None:
    """Resume RUN that was stopped or interrupted.

    Only keys of [train] may be changed, such as train.epochs for a longer run.
    """
    from mmvae.experiments.train import resume

    with stopped_together():
        result = resume(
            run,
            overrides=overrides,
            checkpoint=checkpoint,
            other_data=other_data,
            max_steps=max_steps,
            max_seconds=max_seconds,
            progress=progress(),
        )
    conclude(result)
