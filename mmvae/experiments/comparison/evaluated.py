"""A run's stored evaluation: its statistics, the values of each item, and published results.

Neither the model nor the data are opened. The model's folder is read only to check that the
evaluation belongs to its present weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from mmvae.evaluation.measurement import metric_item
from mmvae.evaluation.query import Cell, parse_cell
from mmvae.experiments.comparison.evaluation_file import (
    CellFigure,
    Configuration,
    Evaluation,
    Figure,
)
from mmvae.foundations import storage, toml
from mmvae.foundations.errors import ConfigError, RunError, UsageError
from mmvae.foundations.json_document import problem_of
from mmvae.modalities.subsets import canonical
from mmvae.runs import results_file
from mmvae.runs.manifest import Manifest, Pointer, read_checked
from mmvae.runs.results_file import read_results, refuse_results
from mmvae.runs.run import Run

V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """A run with the results of its last evaluation.

    Attributes:
        folder: The run's folder, as the user named it.
        config: Its resolved configuration.
        evaluation: Its statistics.
        cells: The value of each likelihood query.
        items: The nats of each item in each query, float64 (n,), in the order of the split; NaN
            for items that lack a modality of the query.
        measured: The values of each item behind each metric's statistic, by its label, likewise.
        published: The nats of each query in the published row that it reproduces, if any.
        finished: True if its training is complete.
    """

    folder: Path
    config: Configuration
    evaluation: Evaluation
    cells: Mapping[Cell, CellFigure]
    items: Mapping[Cell, Tensor]
    measured: Mapping[str, Tensor]
    published: Mapping[Cell, float]
    finished: bool = True

    def aligned(self, modalities: list[str]) -> EvaluatedRun:
        """The same run, with the queries' subsets in the order of ``modalities``."""

        def renamed(values: Mapping[Cell, V]) -> dict[Cell, V]:
            return {aligned_cell(cell, modalities): value for cell, value in values.items()}

        return replace(
            self,
            cells=renamed(self.cells),
            items=renamed(self.items),
            published=renamed(self.published),
        )


def aligned_cell(cell: Cell, modalities: list[str]) -> Cell:
    """The same query, with its subsets in the order of ``modalities``."""
    subsets = (cell.targets, cell.given, cell.proposal)
    return Cell(*(canonical(subset, modalities) for subset in subsets))


def open_evaluated(run: str | Path) -> EvaluatedRun:
    """Read the last evaluation of a run.

    Raises:
        RunError: There is no run; it was not evaluated; a file is damaged; the evaluation belongs
            to other weights than the run's model has now, or the items' nats to another
            evaluation.
        CheckpointError: The manifest of its model is damaged.
    """
    opened = Run.open(storage.named_path(run, "run"))
    evaluation = read_evaluation(opened)
    _refuse_outdated(opened, evaluation)
    config = _config(opened)
    texts = config.reference.bounds if config.reference else {}
    items = read_items(opened, evaluation)
    nats = {name: items[name] for name in evaluation.cells}
    labels = metric_labels(evaluation)
    return EvaluatedRun(
        folder=opened.folder,
        config=config,
        evaluation=evaluation,
        cells=_by_cell(evaluation.cells, evaluation, opened.evaluation),
        items=_by_cell(nats, evaluation, opened.evaluation_items),
        measured={label: items[metric_item(*path)] for label, path in labels.items()},
        published=_by_cell(texts, evaluation, opened.resolved),
        finished=opened.model.is_dir(),
    )


def metric_labels(evaluation: Evaluation) -> dict[str, tuple[str, str]]:
    """Label of each metric's statistic, for people → metric and statistic."""
    return {
        f"{name}: {statistic}": (name, statistic)
        for name, metric in evaluation.metrics.items()
        for statistic in metric.main
    }


def read_evaluation(run: Run) -> Evaluation:
    """The statistics of a run's last evaluation.

    Raises:
        RunError: It was not evaluated, or the file is damaged.
    """
    path = run.evaluation
    if not path.exists():
        raise RunError(
            f"{run.folder} was not evaluated: it has no {path.name}. "
            f"`mmvae evaluate {run.folder} --bounds standard` writes it."
        )
    result = read_results(run)
    try:
        return Evaluation.model_validate(result)
    except ValidationError as error:
        refuse_results(run, path.name, problem_of(error), error)


def _refuse_outdated(run: Run, evaluation: Evaluation) -> None:
    """Refuse an evaluation of weights that the run no longer has."""
    folder = run.model
    if not folder.is_dir():  # training is incomplete, so it was the latest checkpoint
        folder = run.checkpoints / read_checked(run.folder / "latest", Pointer).checkpoint
    manifest = read_checked(folder / "MANIFEST.json", Manifest)
    if evaluation.weights not in {file.sha256 for file in manifest.files.values()}:
        problem = (
            f"is outdated: its weights, {evaluation.weights[:12]}…, are not those in {folder}"
        )
        _refuse(run, run.evaluation, problem)


def _config(run: Run) -> Configuration:
    path = run.resolved
    try:
        values = toml.parse(storage.read(path).decode(), str(path))
        return Configuration.model_validate(values)
    except (OSError, UnicodeDecodeError, ConfigError, ValidationError) as error:
        raise RunError(
            f"{path} cannot be read: {problem_of(error)}. Restore that file."
        ) from error


def read_items(run: Run, evaluation: Evaluation) -> dict[str, Tensor]:
    """The values of each item, float64 (n,), by their names in the file.

    They are the values behind the statistics: nats of queries, and values of metrics.

    Raises:
        RunError: The file is missing, damaged or from another evaluation.
    """
    path = run.evaluation_items
    statistics: dict[str, Figure] = dict(evaluation.cells)
    for metric, main in metric_labels(evaluation).values():
        statistics[metric_item(metric, main)] = evaluation.metrics[metric].figures[main]
    if not statistics:
        return {}
    if not path.exists():
        _refuse(run, path, "is missing: expected the nats of each item")
    items, made_with = results_file.read_items(run)
    for key in ("weights", "data", "split"):
        if made_with.get(key) != getattr(evaluation, key):
            problem = f"{key} = {made_with.get(key)!r}, expected {getattr(evaluation, key)!r}"
            _refuse(run, path, f"is of another evaluation: {problem}")
    for name, statistic in statistics.items():
        values = items.get(name)
        if values is None:
            _refuse(run, path, f"has no {name!r}, which {run.evaluation.name} has")
        if values.dtype != torch.float64 or values.shape != (evaluation.items,):
            found = f"{values.dtype} of shape {tuple(values.shape)}"
            _refuse(run, path, f"holds {found} for {name!r}, expected {evaluation.items} float64")
        mean = float(values.nanmean())  # NaN: the item lacks a modality of the query
        if not abs(mean - statistic.mean) <= 1e-6 * max(1.0, abs(statistic.mean)):  # also for NaN
            problem = f"the mean of {name!r} is {mean:.6g}, expected {statistic.mean:.6g}"
            _refuse(run, path, f"is of another evaluation: {problem}")
    return items


def by_cell(values: Mapping[str, V], modalities: Sequence[str]) -> dict[Cell, V]:
    """Values by the queries that their texts name; without ``@P`` both multiple and single.

    Raises:
        UsageError: A text is malformed or names an unknown modality.
    """
    return {cell: v for text, v in values.items() for cell in parse_cell(text, modalities)}


def _by_cell(values: Mapping[str, V], evaluation: Evaluation, path: Path) -> dict[Cell, V]:
    try:
        return by_cell(values, evaluation.modalities)
    except UsageError as error:
        raise RunError(f"{path}: {error}") from None


def _refuse(run: Run, path: Path, problem: str) -> NoReturn:
    raise RunError(f"{path} {problem}. `mmvae evaluate {run.folder}` writes it again.")
