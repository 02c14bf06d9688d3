"""Comparison of runs: their statistics, and the differences of their nats on the same items."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mmvae.evaluation.query import Cell, cell_name
from mmvae.evaluation.statistics import mean_and_error
from mmvae.experiments.comparison.column import (
    Column,
    different_densities,
    different_formats,
    different_items,
    different_metrics,
    different_values,
    gathered,
    headed,
)
from mmvae.experiments.comparison.evaluated import open_evaluated
from mmvae.experiments.comparison.evaluation_file import Evaluation, Figure
from mmvae.experiments.comparison.figures import (
    accuracy,
    active,
    coherence,
    elbo,
    kl,
    metrics,
    variation,
)
from mmvae.foundations import storage
from mmvae.foundations.errors import UsageError

Row = dict[str, dict[str, Any]]
"""A statistic of each column that has it, by the column's heading."""


@dataclass(frozen=True)
class Comparison:
    """Statistics of several runs; each as ``mean`` with ``error``, or with ``sd`` over ``seeds``.

    Attributes:
        columns: The runs; those that differ only in their seed share a column.
        modalities: The modalities of all runs.
        baseline: The heading of the column that is subtracted for differences.
        cells: Name of a query → heading → its value in nats per item, with ``bound``, ``samples``
            and ``given from``, and ``standardised``, the value for standardised values, if a codec
            standardises. Joint queries come first, then marginals, then conditionals.
        published: Name of a query → heading → the published value, for standardised values.
        figures: Other statistics: ELBO, KL, variation of information, active units, metrics.
        shares: Shares of items: accuracy and coherence.
        differences: Name of a query → heading → the mean difference from the baseline over the
            items that both were evaluated on, and its standard error.
        metric_differences: The same for metrics, by their labels in ``figures``.
        remarks: Remarks to read before comparing, one sentence each.
    """

    columns: tuple[Column, ...]
    modalities: tuple[str, ...]
    baseline: str
    cells: dict[str, Row]
    published: dict[str, dict[str, float]]
    figures: dict[str, Row]
    shares: dict[str, Row]
    differences: dict[str, Row]
    metric_differences: dict[str, Row]
    remarks: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as one JSON-able dict."""
        columns = [
            {
                "heading": column.heading,
                "runs": [str(run.folder) for run in column.runs],
                "seeds": column.seeds,
                "reference": (ref := column.first.config.reference) and ref.model_dump(),
                **column.evaluated_on,
            }
            for column in self.columns
        ]
        tables = ("cells", "published", "figures", "shares", "differences", "metric_differences")
        return {
            "columns": columns,
            "modalities": list(self.modalities),
            "baseline": self.baseline,
            **{name: getattr(self, name) for name in tables},
            "remarks": list(self.remarks),
            "units": "nats per item; error: standard error over items; sd: over seeds",
        }


def compare(
    runs: Sequence[str | Path],
    *,
    baseline: str | Path | None = None,
    group: bool = True,
    unpaired: bool = False,
) -> Comparison:
    """Compare evaluated runs with each other and with published results.

    Args:
        runs: Their folders, each evaluated; a single one is compared with the published results.
        baseline: The run that is subtracted for differences; default: the first.
        group: True if runs that differ only in ``train.seed`` and name become one column.
        unpaired: True if runs evaluated on other items than the baseline are shown too, without
            differences.

    Raises:
        UsageError: No run, a run twice, or runs without a common statistic; a baseline that is not
            one of them; runs evaluated on different items, unless ``unpaired``.
        RunError: A run is missing or was not evaluated; its evaluation is damaged or outdated.
        CheckpointError: The manifest of a run's model is damaged.
    """
    folders = [
        storage.named_path(run, "run")
        for run in ([runs] if isinstance(runs, (str, Path)) else runs)
    ]
    _refuse_repeated(folders)
    base = _position(baseline, folders)
    opened = [open_evaluated(folder) for folder in folders]
    modalities = list(dict.fromkeys(m for run in opened for m in run.evaluation.modalities))
    opened = [run.aligned(modalities) for run in opened]
    columns = headed(gathered(opened) if group else [(run,) for run in opened])
    reference = next(column for column in columns if opened[base] in column.runs)
    others = [column for column in columns if column is not reference]
    remarks = [remark for other in others if (remark := different_items(reference, other))]
    if remarks and not unpaired:
        raise UsageError(
            f"{remarks[0]} Evaluate both on the same items (`mmvae evaluate RUN --split …`), or "
            f"show them without differences: --unpaired."
        )
    cells, published = _cells(columns, modalities)
    statistics, latent = side_by_side(columns, elbo, variation), side_by_side(columns, kl, active)
    shares = side_by_side(columns, accuracy, coherence)
    measured = side_by_side(columns, metrics)
    _refuse_unrelated(columns, cells | statistics | shares | measured)
    for other in others:
        for differ in (
            different_values,
            different_densities,
            different_formats,
            different_metrics,
        ):
            remarks += differ(reference, other)
    remarks += [
        f"{run.folder} is unfinished: its results are those of a checkpoint. "
        f"`mmvae resume {run.folder}` resumes it."
        for run in opened
        if not run.finished
    ]
    return Comparison(
        columns=tuple(columns),
        modalities=tuple(modalities),
        baseline=reference.heading,
        cells=cells,
        published=published,
        figures=statistics | latent | measured,
        shares=shares,
        differences=_differences(reference, others, modalities),
        metric_differences=_metric_differences(reference, others, list(measured)),
        remarks=tuple(remarks),
    )


def _cells(
    columns: Sequence[Column], modalities: list[str]
) -> tuple[dict[str, Row], dict[str, dict[str, float]]]:
    """Computed and published values, by the names of the queries and then by heading."""
    found = {cell for column in columns for run in column.runs for cell in run.cells}
    computed: dict[str, Row] = {}
    published: dict[str, dict[str, float]] = {}
    for cell in sorted(found, key=lambda cell: cell_order(cell, modalities)):
        name = cell_name(cell, modalities)
        for column in columns:
            statistic = column.summary([run.cells.get(cell) for run in column.runs])
            if statistic is not None:
                how = column.first.cells[cell].how
                inner = [run.cells[cell].standardised for run in column.runs]
                standardised = column.summary(inner)
                if standardised is not None:
                    how["standardised"] = standardised
                computed.setdefault(name, {})[column.heading] = statistic | how
            if cell in column.first.published:
                row = published.setdefault(name, {})
                row[column.heading] = column.first.published[cell]
    return computed, published


def cell_order(cell: Cell, modalities: Sequence[str]) -> tuple[Any, ...]:
    """Sort key of a query: joint, marginal, conditional; multiple, single, other proposals."""
    place = {m: i for i, m in enumerate(modalities)}
    targets, given, proposal = (
        (len(subset), [place[m] for m in subset])
        for subset in (cell.targets, cell.given, cell.proposal)
    )
    kind = 2 if cell.given else int(len(cell.targets) < len(modalities))
    sampled = (len(cell.proposal) < len(modalities), cell.proposal != cell.single)
    return kind, targets, given, sampled, proposal


def side_by_side(
    columns: Sequence[Column], *kinds: Callable[[Evaluation], Mapping[str, Figure]]
) -> dict[str, Row]:
    """Label of a statistic → heading → its value, for these kinds of statistics."""
    rows: dict[str, Row] = {}
    for kind in kinds:
        for column in columns:
            for label in kind(column.first.evaluation):
                statistic = column.summary([kind(r.evaluation).get(label) for r in column.runs])
                if statistic is not None:
                    rows.setdefault(label, {})[column.heading] = statistic
    return rows


def _differences(
    reference: Column, others: Sequence[Column], modalities: list[str]
) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    cells = sorted(reference.first.cells, key=lambda cell: cell_order(cell, modalities))
    for cell in cells:
        for other in others:
            ours, theirs = reference.nats(cell), other.nats(cell)
            if ours is None or theirs is None or different_items(reference, other):
                continue
            rows.setdefault(cell_name(cell, modalities), {})[other.heading] = paired(ours, theirs)
    return rows


def paired(ours: Tensor, theirs: Tensor) -> dict[str, Any]:
    """Mean difference of the same items (n,), over those that have it: the others are NaN."""
    both = (theirs - ours)[~(theirs - ours).isnan()]
    return mean_and_error(both) | {"items": len(both)}


def _metric_differences(
    reference: Column, others: Sequence[Column], labels: Sequence[str]
) -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for label in labels:
        for other in others:
            ours, theirs = reference.measured(label), other.measured(label)
            if ours is None or theirs is None or different_items(reference, other):
                continue
            rows.setdefault(label, {})[other.heading] = paired(ours, theirs)
    return rows


def _refuse_repeated(folders: Sequence[Path]) -> None:
    if not folders:
        raise UsageError("runs = []: expected at least one run's folder.")
    seen: dict[Path, Path] = {}
    for folder in folders:
        before = seen.setdefault(folder.resolve(), folder)
        if before is not folder:
            raise UsageError(f"{before} and {folder} are the same run: name it once.")


def _position(baseline: str | Path | None, folders: Sequence[Path]) -> int:
    if baseline is None:
        return 0
    wanted = storage.named_path(baseline, "baseline").resolve()
    for i, folder in enumerate(folders):
        if folder.resolve() == wanted:
            return i
    raise UsageError(
        f"--baseline {baseline}: expected one of the runs that are compared: "
        f"{', '.join(map(str, folders))}."
    )


def _refuse_unrelated(columns: Sequence[Column], rows: Mapping[str, Row]) -> None:
    """Refuse columns that share no statistic with another; KL and active units do not count."""
    if len(columns) > 1 and not any(len(row) > 1 for row in rows.values()):
        have = "; ".join(
            f"{c.heading} has {', '.join(n for n, row in rows.items() if c.heading in row) or '–'}"
            for c in columns
        )
        raise UsageError(
            f"The runs have no statistic in common: {have}. Evaluate them with the same "
            f"evaluate.bounds, or compare others."
        )
