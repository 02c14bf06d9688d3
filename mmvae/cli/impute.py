"""``mmvae impute``: fill the missing values of a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmvae.cli.items import run_bounds
from mmvae.cli.options import example, json_option, print_json, say
from mmvae.cli.outputs import refuse_output
from mmvae.cli.progress import shown_progress

if TYPE_CHECKING:
    from mmvae.inference.table_imputation import Filled


@click.command(
    epilog=example(
        "mmvae impute runs/short patients.parquet --out filled.parquet",
        "mmvae impute runs/short patients.csv --by sample --seed 3 --out one-of-many.csv",
    )
)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("data", metavar="DATA", type=click.Path(path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Output file: a new one with the extension of DATA.",
)
@click.option(
    "--by",
    type=click.Choice(["mode", "mean", "sample"]),
    default="mode",
    show_default=True,
    help="mode: the most likely value; mean: the mean of the distribution given the rest of the "
    "row; sample: one draw from it.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the samples.")
@json_option
def command(run: Path, data: Path, out: Path, by: Any, seed: int, as_json: bool) -> None:
    """Impute every missing value of the table DATA by RUN's model, from the rest of its row.

    DATA is a Parquet, Arrow, CSV, TSV or JSON-lines file whose columns are named after the
    modalities. It is read and written in chunks. The order of rows and other columns stay
    unchanged. For each modality with a column, a new column COLUMN_filled marks the filled
    values, or the filled entries of lists. A row without any modality is filled from the prior.
    Pictures in a column of paths are written to the folder NAME_pictures beside FILE, where
    NAME is FILE without its extension.
    """
    from mmvae.experiments.train import load
    from mmvae.inference.table_imputation import impute_table

    refuse_output(out, run, [str(data)])
    with shown_progress() as progress:
        done = impute_table(load(run), data, out, by, seed, progress, run_bounds(run))
    if as_json:
        counts = {"filled": done.values, "filled in part": done.partly}
        print_json({"rows": done.rows, **counts, "from the prior": done.nothing, "out": str(out)})
        return
    for line in lines(done, out):
        say(line)


def lines(done: Filled, out: Path) -> list[str]:
    """A summary of the imputation, as sentences."""
    parts = [f"{m}: {n}" for m, n in done.values.items() if n]
    parts += [f"{m} in part: {n}" for m, n in done.partly.items() if n]
    found = f"filled {', '.join(parts)}" if parts else "no value is missing, so nothing was filled"
    sentences = [f"Wrote {out}: {done.rows} rows; {found}"]
    for column, (before, after) in done.retyped.items():
        sentences.append(
            f"The type of column {column!r} is now {after}, not {before}: the model fills in "
            f"numbers that need not be whole."
        )
    if done.without:
        sentences.append(f"Left out, because they have no column: {', '.join(done.without)}")
    if done.nothing:
        sentences.append(f"{done.nothing} rows had no modality: they were filled from the prior.")
    return sentences
