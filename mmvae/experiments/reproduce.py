"""Reproduction of a study: train, resume or skip each row, evaluate it, store its results."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmvae.evaluation.standardised import SUFFIX
from mmvae.experiments.comparison.evaluated import read_evaluation, read_items
from mmvae.experiments.evaluate import evaluate
from mmvae.experiments.open_run import FORMAT
from mmvae.experiments.study.packing import Array
from mmvae.experiments.study.record import Record, make_record, write_record
from mmvae.experiments.study.row import PLACE, Row, load_rows
from mmvae.experiments.study.study import Study
from mmvae.experiments.train import resume, train
from mmvae.foundations import toml
from mmvae.foundations.errors import DataError, Interrupted, RunError, Terminated, UsageError
from mmvae.foundations.launch import launch
from mmvae.foundations.progress import Progress, Remarks
from mmvae.foundations.signals import terminable
from mmvae.inference.model_folder import kept, saved_model
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.runs.results_file import read_results
from mmvae.runs.run import Run


def reproduce(
    study: Study,
    runs: Path,
    results: Path,
    *,
    schedule: str | None = None,
    overrides: Sequence[str] = (),
    only: Sequence[str] = (),
    max_steps: int | None = None,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> list[Record]:
    """Train and evaluate the rows of a study, and store their results.

    Finished rows are skipped and unfinished ones are resumed, so that after any interruption the
    same call continues. Nothing is changed if any row's run has another config.

    Args:
        study: The study.
        runs: Folder of the runs, one folder for each row.
        results: Folder of the results, see :func:`mmvae.experiments.study.record.record_path`.
        schedule: Name of the schedule; default: the study's first.
        overrides: ``key=value`` texts for every row. ``data.root`` is the place of the files and
            does not count as another config.
        only: Names of rows; default: all.
        max_steps: Stop each training after this many steps; unfinished rows are not evaluated.
        progress: Shows each training, how far an evaluation is, and remarks; default: remarks on
            standard error.
        registry: The plugins to choose from; default: the installed ones.

    Returns:
        The results of the finished rows.

    Raises:
        MmvaeError: As :func:`mmvae.train`, :func:`mmvae.resume` and :func:`mmvae.evaluate`;
            UsageError if there is no such schedule or row, or if this is one of several processes;
            RunError if a run is of another config or a link.
    """
    refuse_several_processes()
    registry = registry or load_registry()
    shown = progress or Remarks()
    name, _ = study.schedule(schedule)
    rows = load_rows(study, name, overrides, only, registry)
    for row in rows:
        refuse_link(runs / row.name)
        if begun(runs / row.name):
            row.refuse_another(Run.open(runs / row.name), registry)
    records = []
    with interrupted_by_signals():
        for i, row in enumerate(rows, 1):
            where = f"row {i} of {len(rows)}, {row.name}"
            run = trained(row, runs / row.name, max_steps, where, shown, registry)
            if run is None:
                shown.say(f"{where}: not finished, so not evaluated")
                continue
            record = make_record(
                study, name, row, run, *evaluated(row, run, where, shown, registry)
            )
            shown.say(f"{where}: results in {write_record(results, record)}")
            records.append(record)
    return records


def refuse_link(folder: Path) -> None:
    """Check that a row's run lies in the folder of the runs.

    Raises:
        RunError: It is a symbolic link.
    """
    if folder.is_symlink():
        raise RunError(
            f"{folder} is a symbolic link; the runs of a study lie in one folder. Put what it "
            f"points to in its place, or name another folder with --runs."
        )


def refuse_several_processes() -> None:
    """Check that this process is alone: only one would have the results to write.

    Raises:
        UsageError: A launcher such as torchrun started several.
    """
    processes = launch().size
    if processes > 1:
        raise UsageError(
            f"WORLD_SIZE = {processes}: reproduce needs a process alone; start it without "
            f"torchrun. Several can work on a single row, with the schedule's -s: mmvae train "
            f"ROW.toml --run-dir RUNS/ROW --launcher torchrun, then torchrun … -m mmvae evaluate "
            f"RUNS/ROW; reproduce continues with that run."
        )


def trained(
    row: Row,
    folder: Path,
    max_steps: int | None,
    where: str,
    progress: Progress,
    registry: Registry,
) -> Run | None:
    """Train a row's run to the end; None if a limit stopped it before."""
    if begun(folder):
        run = Run.open(folder)
        status = run.status()
        if status.state == "finished":
            progress.say(f"{where}: {folder} is finished, skipped")
            return run
        progress.say(f"{where}: resuming {folder} after step {status.step}")
        result = resume(folder, max_steps=max_steps, progress=progress, registry=registry)
    else:
        progress.say(f"{where}: training in {folder}")
        result = train(
            row.loaded,
            run_dir=folder,
            max_steps=max_steps,
            progress=progress,
            registry=registry,
        )
    return Run.open(folder) if result.outcome == "finished" else None


def begun(folder: Path) -> bool:
    """True if a folder holds a run; files of a process killed at its start do not count."""
    return (folder / "status.json").is_file()


def evaluated(
    row: Row, run: Run, where: str, progress: Progress, registry: Registry
) -> tuple[dict[str, Any], dict[str, Array]]:
    """A finished run's results and nats per item, evaluated unless they exist already.

    Raises:
        DataError: The data differ from those that the run was trained on.
        RunError: The run's own ``[evaluate]`` has a key that the row leaves unset.
    """
    result = current(row, run)
    if result is not None:
        progress.say(f"{where}: evaluated already, skipped")
        return result, nats(run)
    progress.say(f"{where}: evaluating")
    keys = evaluation_keys(row, run, registry)
    evaluate(run.folder, overrides=keys, progress=progress, registry=registry)
    result = current(row, run)
    if result is not None:
        return result, nats(run)
    if fingerprint(run) != results(run)["data"]:
        raise DataError(
            f"{run.folder} was evaluated on other data than it was trained on: the results are "
            f"not the study's. Name the right data with -s data.root=…"
        )
    raise RunError(
        f"{run.resolved} sets a key of [evaluate] that row {row.name!r} leaves out. "
        f"Remove it there."
    )


def current(row: Row, run: Run) -> dict[str, Any] | None:
    """The content of ``evaluation.json`` if it has these weights and data and the row's keys."""
    if not run.evaluation.is_file():
        return None
    result, saved = results(run), saved_model(run.folder)
    wanted = {
        "format": FORMAT,
        "weights": saved.digests[kept(saved)],
        "data": fingerprint(run),
        "config": row.loaded.experiment.evaluate.model_dump(mode="json"),
    }
    made_with = {key: result.get(key) for key in wanted}
    made_with["config"] = {k: v for k, v in (made_with["config"] or {}).items() if k != "metrics"}
    has_cells = "cells" in result and run.evaluation_items.is_file()
    lacks_cells = bool(row.loaded.experiment.evaluate.bounds) and not has_cells
    return result if made_with == wanted and not lacks_cells else None


def results(run: Run) -> dict[str, Any]:
    """The content of ``evaluation.json``; RunError if it is damaged."""
    try:
        return read_results(run)
    except RunError as error:
        raise RunError(f"{error} Or remove that file; the same command writes it again.") from None


def nats(run: Run) -> dict[str, Array]:
    """Query → nats of each item in a run's last evaluation, for standardised values.

    Raises:
        RunError: A file is damaged, or the items belong to another evaluation.
    """
    try:
        evaluation = read_evaluation(run)
        if not evaluation.cells:
            return {}
        items = read_items(run, evaluation)
    except RunError as error:
        raise RunError(f"{error} Or remove that file; the same command writes it again.") from None
    return {cell: items.get(cell + SUFFIX, items[cell]).numpy() for cell in evaluation.cells}


def fingerprint(run: Run) -> Any:
    """The fingerprint of the data that a run was trained on."""
    return run.environment()["data"]["fingerprint"]


def evaluation_keys(row: Row, run: Run, registry: Registry) -> list[str]:
    """The row's ``[evaluate]`` and the place of its data, as overrides of a run's own config."""
    keys = row.loaded.experiment.evaluate.model_dump(mode="json")
    texts = [
        f"evaluate.{key}={written(value)}" for key, value in keys.items() if value is not None
    ]
    place = row.loaded.values["data"].get(PLACE[1])
    return texts if place is None else [*texts, f"{toml.dotted(PLACE)}={written(place)}"]


def written(value: Any) -> str:
    """A value as TOML, in one line."""
    return toml.literal(value, limit=1 << 20)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """End on Ctrl-C and SIGTERM with the exit codes of a training, during any work."""
    try:
        with terminable():
            yield
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted. {RESUME}", 130) from None
    except (Interrupted, Terminated) as error:
        raise Interrupted(f"{error} {RESUME}", error.exit_code) from None


RESUME = "Repeat the same `mmvae reproduce` command to resume the study."
