"""``mmvae evaluate``: compute bounds and coherence of a trained model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmvae.cli.options import (
    columns,
    echo,
    example,
    json_option,
    leading,
    print_json,
    set_option,
)
from mmvae.cli.progress import shown_progress
from mmvae.data.split_names import SPLITS
from mmvae.evaluation.query import STANDARD
from mmvae.foundations.errors import Interrupted, Terminated
from mmvae.foundations.printable import printable

if TYPE_CHECKING:
    from rich.text import Text

    from mmvae.report.tables import Table


@click.command(
    epilog=example(
        "mmvae evaluate runs/short",
        "mmvae evaluate runs/short --bounds standard --samples 1000",
        "mmvae evaluate runs/short --bounds 'image|label@single,image'",
        "mmvae evaluate runs/short -s evaluate.coherence=false --json",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--split", type=click.Choice(SPLITS), help="Items to evaluate on; evaluate.split unless given."
)
@click.option(
    "--bounds",
    metavar="CELLS",
    help="Likelihood queries: 'standard', or T[|G][@single|@multiple|@SUBSET], "
    "separated by commas; evaluate.bounds unless given.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    help="k, the number of samples of each item and query; evaluate.samples unless given. Without "
    "--bounds it implies the standard queries.",
)
@set_option
@json_option
def command(
    run: Path,
    split: str | None,
    bounds: str | None,
    samples: int | None,
    overrides: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compute bounds and coherence of RUN's model.

    The results are the ELBO with its terms; with --bounds any joint, marginal or conditional
    log-likelihood; the KL of the joint posterior to each subset posterior; the prediction of
    every modality from others; and, for modalities with classes, the share of generated values
    that show their class. All have standard errors over items. They are stored in
    RUN/evaluation.json. The nats of each item are stored in RUN/evaluation.items.safetensors.

    If the computation of likelihood queries is stopped, the same command resumes it. torchrun -m
    mmvae evaluate distributes queries over several processes. Queries of earlier evaluations of
    the same weights and items are reused.
    """
    from mmvae.experiments.evaluate import evaluate
    from mmvae.report.hints import hints, left_out
    from mmvae.report.tables import densities, heading, tables
    from mmvae.runs.run import Run

    if split is not None:
        overrides = (*overrides, f'evaluate.split="{split}"')
    if bounds is not None:
        cells = [cell.strip() for cell in bounds.split(",")]
        overrides = (*overrides, f"evaluate.bounds={json.dumps(cells)}")
    if samples is not None:
        overrides = (*overrides, f"evaluate.samples={samples}")
        if bounds is None and not has_bounds(run, overrides):
            overrides = (*overrides, f'evaluate.bounds=["{STANDARD}"]')
    try:
        with shown_progress() as progress:
            result = evaluate(run, overrides=overrides, progress=progress)
    except (KeyboardInterrupt, Terminated) as error:
        code = error.exit_code if isinstance(error, Terminated) else 130
        raise Interrupted(
            f"{str(error) or 'interrupted.'} The likelihood queries computed so far are kept. "
            f"Repeat the command to resume.",
            code,
        ) from None
    if not leading():
        return
    if as_json:
        print_json(result)
        return
    for line in (heading(result), *densities(result)):
        echo(line)
    for table in tables(result):
        print_table(table)
    for line in (*left_out(result), *hints(result)):
        echo(line)
    echo(f"\nKept in {Run(run).evaluation}")


def has_bounds(run: Path, overrides: tuple[str, ...]) -> bool:
    """True if the run's configuration, with these overrides, names likelihood queries."""
    from mmvae.experiments.config import load_experiment
    from mmvae.runs.run import Run

    return bool(load_experiment(Run.open(run).resolved, overrides).experiment.evaluate.bounds)


def print_table(table: Table) -> None:
    """Print a table: ruled on a terminal, plain otherwise."""
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    if not sys.stdout.isatty():
        echo(f"\n{table.title}")
        echo(columns([table.header, *table.rows]))
        return
    title, note = Text(printable(table.title)), Text(printable(table.note))
    ruled = RichTable(title=title, caption=note, box=box.SIMPLE)
    for name in table.header:
        ruled.add_column(_cell(name), overflow="fold")  # a narrow terminal cuts no digits off
    for row in table.rows:
        ruled.add_row(*map(_cell, row))
    Console().print(ruled)


def _cell(text: str) -> Text:
    """A cell with its literal text: brackets are no markup, and control characters are escaped."""
    from rich.text import Text

    return Text(printable(text, one_line=True))
