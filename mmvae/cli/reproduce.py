"""``mmvae reproduce``: train and evaluate a study, and write the page of its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmvae.cli.evaluate import print_table
from mmvae.cli.jobs import Jobs
from mmvae.cli.options import echo, example, set_option
from mmvae.cli.progress import shown_progress
from mmvae.foundations import storage
from mmvae.foundations.errors import UsageError

if TYPE_CHECKING:
    from mmvae.experiments.study.study import Study


RESULTS = Path("runs", "results")


@click.command(
    epilog=example(
        "mmvae reproduce examples/paper/mnist.toml --schedule short",
        "mmvae reproduce examples/paper/mnist.toml --jobs 2",
        "mmvae reproduce examples/paper/mnist.toml --only vae -s data.root=/data/mnist",
        "mmvae reproduce examples/paper/mnist.toml --results docs/results --page reproduction.md",
    )
)
@click.argument("study", metavar="STUDY", type=click.Path(path_type=Path))
@click.option("--schedule", metavar="NAME", help="Schedule of the study; its first unless given.")
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the runs, DIR/ROW; runs/STUDY/SCHEDULE unless given.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=RESULTS,
    show_default=True,
    help="Folder of the results, DIR/STUDY/SCHEDULE/ROW.json.",
)
@click.option("--only", multiple=True, metavar="ROW", help="Only this row. May be repeated.")
@set_option
@click.option(
    "--max-steps",
    type=click.IntRange(min=1),
    help="Stop each training after this many steps; unfinished rows are not evaluated.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of rows at once, each in a process of its own with its share of the cores.",
)
@click.option(
    "--page",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Train nothing: write the page of the existing results, in Markdown.",
)
def command(
    study: Path,
    schedule: str | None,
    runs: Path | None,
    results: Path,
    only: tuple[str, ...],
    overrides: tuple[str, ...],
    max_steps: int | None,
    jobs: int,
    target: Path | None,
) -> None:
    """Train and evaluate every row of STUDY, a TOML file, and print its tables.

    Finished rows are skipped and unfinished ones are resumed: after Ctrl-C or SIGTERM, run the
    same command again. -s overrides a key of every row. data.root, the place of files, does not
    count as another config. Any other key needs --results, so that trials stay separate from the
    study.
    """
    from mmvae.experiments.reproduce import (
        interrupted_by_signals,
        refuse_several_processes,
        reproduce,
    )
    from mmvae.experiments.study.row import load_rows
    from mmvae.experiments.study.study import load_study
    from mmvae.plugins.loader import load_registry

    refuse_several_processes()
    loaded = load_study(study)
    if target is not None:
        given = {"--schedule": schedule, "--runs": runs, "--only": only, "-s": overrides}
        if idle := [
            option for option, value in (given | {"--max-steps": max_steps}).items() if value
        ]:
            raise UsageError(f"{idle[0]}: --page trains nothing; leave one of the two out.")
        write_page(loaded, results, target)
        return
    trial = [text for text in overrides if not text.startswith("data.")]
    if trial and results == RESULTS:
        raise UsageError(
            f"-s {trial[0]} makes other rows than the study's: name another folder for their "
            f"results with --results DIR."
        )
    name, _ = loaded.schedule(schedule)
    runs = runs or Path("runs", loaded.name, name)
    if jobs > 1:

        def line(row: str) -> list[str]:
            places = ["--runs", str(runs), "--results", str(results)]
            sets = [part for text in overrides for part in ("-s", text)]
            limit = [] if max_steps is None else ["--max-steps", str(max_steps)]
            only = ["--schedule", name, "--only", row]
            return ["reproduce", str(study), *only, *places, *sets, *limit]

        names = [row.name for row in load_rows(loaded, name, overrides, only, load_registry())]
        with interrupted_by_signals(), shown_progress() as progress:
            Jobs(jobs, line, progress).run(names)
        print_tables(loaded, name, results)
        return
    with shown_progress() as progress:
        reproduce(
            loaded,
            runs,
            results,
            schedule=name,
            overrides=overrides,
            only=only,
            max_steps=max_steps,
            progress=progress,
        )
    print_tables(loaded, name, results)


def print_tables(study: Study, schedule: str, results: Path) -> None:
    """Print the tables of one schedule, for all rows with results."""
    from mmvae.experiments.study.record import read_records
    from mmvae.report.claims import claim_tables
    from mmvae.report.reproduction import cell_tables

    records = read_records(results, study).get(schedule, [])
    for table in (*cell_tables(study, schedule, records), *claim_tables(study, records)):
        print_table(table)
        if table.note:
            echo(table.note)
    lacking = [
        row for row in study.shown(schedule) if row not in {record.row for record in records}
    ]
    if lacking:
        echo(f"Rows without results so far: {', '.join(lacking)}.")


def write_page(study: Study, results: Path, target: Path) -> None:
    """Write the page of the existing results."""
    from mmvae.experiments.study.record import read_records
    from mmvae.report.reproduction import page, pictures

    records = read_records(results, study)
    if not records:
        raise UsageError(
            f"{results / study.name}: there are no results of {study.path}. "
            f"`mmvae reproduce {study.path}` makes them; --results says where."
        )
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}.")
    for name, picture in pictures(study, records).items():
        figures = storage.inner_folder(target.parent, "figures")
        storage.write_bytes(storage.within(figures, name), picture)
    storage.write_text(target, page(study, records))
    echo(target)
