"""``mmvae compare``: compare evaluated runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from mmvae.cli.evaluate import print_table
from mmvae.cli.options import echo, example, json_option, print_json


@click.command(
    epilog=example(
        "mmvae compare runs/short runs/long",
        "mmvae compare runs/seed-* runs/other --baseline runs/other",
    )
)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--baseline",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="The run from which differences are taken; the first unless given.",
)
@click.option("--no-group", is_flag=True, help="Give each seed of an experiment its own column.")
@click.option(
    "--unpaired",
    is_flag=True,
    help="Show runs that were evaluated on other items too, without differences.",
)
@json_option
def command(
    runs: tuple[Path, ...], baseline: Path | None, no_group: bool, unpaired: bool, as_json: bool
) -> None:
    """Compare evaluated RUNs with each other and with published results.

    The tables show log-likelihoods with their standard errors, next to the published values if
    [reference] names a row; ELBO, KL, coherence and accuracies; and the differences from the
    first run on the same items, which have smaller standard errors. Runs that differ only in
    train.seed and name share one column, mean ± standard deviation over seeds. Everything is
    read from the results of `mmvae evaluate` in the runs.
    """
    from mmvae.experiments.comparison.compare import compare
    from mmvae.report.comparison import comparison_tables, heading

    comparison = compare(runs, baseline=baseline, group=not no_group, unpaired=unpaired)
    if as_json:
        print_json(comparison.as_dict())
        return
    echo(heading(comparison))
    for table in comparison_tables(comparison):
        print_table(replace(table, note=""))
        echo(table.note)
    for remark in comparison.remarks:
        echo(f"\nRemark: {remark}")
