"""``mmvae report``: write a run's report with its figures."""

from __future__ import annotations

from pathlib import Path

import click

from mmvae.cli.options import echo, example, set_option
from mmvae.cli.progress import shown_progress


@click.command(
    epilog=example("mmvae report runs/short", "mmvae report runs/short -s evaluate.seed=1")
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@set_option
def command(run: Path, overrides: tuple[str, ...]) -> None:
    """Write RUN/report.html, one page with figures and pictures, and the pictures in RUN/figures.

    RUN is evaluated first if RUN/evaluation.json is missing, or was computed with other weights,
    data or keys of [evaluate]. Needs matplotlib: pip install 'mmvae[plot]'.
    """
    from mmvae.report.report import report

    with shown_progress() as progress:
        path = report(run, overrides=overrides, progress=progress)
    echo(f"Report: {path}")
