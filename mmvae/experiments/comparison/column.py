"""Columns of a comparison: one run each, or several that differ only in their seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor

from mmvae.evaluation.query import Cell
from mmvae.experiments.comparison.evaluated import EvaluatedRun
from mmvae.experiments.comparison.evaluation_file import Figure, MetricFigures
from mmvae.foundations.errors import UsageError
from mmvae.plugins.roles import choosing

INDIFFERENT = ("seed", "batch_size", "memory")
"""Keys of ``[evaluate]`` that change results only by chance."""

NETWORK = ("weight", "encoder", "decoder", "activation")
"""Keys of a modality that change neither its values nor their density."""


@dataclass(frozen=True, eq=False)
class Column:
    """One run, or several that differ only in their seed.

    Attributes:
        heading: The title of the column; unique.
        runs: At least one.
    """

    heading: str
    runs: tuple[EvaluatedRun, ...]

    @property
    def first(self) -> EvaluatedRun:
        """The run that represents the common settings."""
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        """The seeds of training, one for each run."""
        return [seed_of(run) for run in self.runs]

    @property
    def evaluated_on(self) -> dict[str, Any]:
        """The items on which the statistics were computed."""
        evaluation = self.first.evaluation
        return {key: getattr(evaluation, key) for key in ("split", "items", "data")}

    def summary(self, statistics: Sequence[Figure | None]) -> dict[str, Any] | None:
        """Summarise one statistic: for one run with its error, for several their mean and sd.

        None if a run lacks it.
        """
        found = [statistic for statistic in statistics if statistic is not None]
        if len(found) < len(self.runs):
            return None
        if len(found) == 1:
            return {"mean": found[0].mean, "error": found[0].error}
        means = [statistic.mean for statistic in found]
        return {"mean": fmean(means), "sd": stdev(means), "seeds": len(means)}

    def measured(self, label: str) -> Tensor | None:
        """Each item's value of a metric's statistic, (n,), averaged likewise."""
        if any(label not in run.measured for run in self.runs):
            return None
        return torch.stack([run.measured[label] for run in self.runs]).mean(0)

    def nats(self, cell: Cell) -> Tensor | None:
        """Each item's nats, (n,), averaged over the runs; None if a run lacks the query."""
        if any(cell not in run.items for run in self.runs):
            return None
        return torch.stack([run.items[cell] for run in self.runs]).mean(0)


def seed_of(run: EvaluatedRun) -> int:
    """The seed of a run's training."""
    return run.config.train.seed


def gathered(runs: Sequence[EvaluatedRun]) -> list[tuple[EvaluatedRun, ...]]:
    """Group runs that agree in everything but seed and name, in the order of their first run.

    Raises:
        UsageError: Two runs of a group have the same seed.
    """
    groups: list[list[EvaluatedRun]] = []
    for run in runs:
        members = next((g for g in groups if all(_alike(run, member) for member in g)), [])
        if not members:
            groups.append(members)
        for member in members:
            if seed_of(member) == seed_of(run):
                raise UsageError(
                    f"{member.folder} and {run.folder} are the same experiment with the same "
                    f"seed, {seed_of(run)}: expected different seeds. Name one of them, or use "
                    f"--no-group."
                )
        members.append(run)
    return [tuple(members) for members in groups]


def _alike(a: EvaluatedRun, b: EvaluatedRun) -> bool:
    """True if two runs agree in everything but seed and name.

    Likelihood queries may be older than the evaluation that contains them, so their settings are
    compared; a query that one of the runs lacks is ignored.
    """
    return _all_but_seed(a) == _all_but_seed(b) and all(
        a.cells[cell].how == b.cells[cell].how for cell in a.cells.keys() & b.cells.keys()
    )


def _all_but_seed(run: EvaluatedRun) -> str:
    """All on which the statistics of a run's last evaluation depend, except its seed."""
    aside: dict[str, Any] = {table: True for table, role in choosing() if not role.trained}
    # None of these keys changes a statistic; the evaluation records what was measured.
    aside |= {"name": True, "evaluate": True, "train": {"seed"}}
    config = run.config.model_dump(exclude=aside)
    evaluation = run.evaluation
    keys = {key: v for key, v in evaluation.config.items() if key not in INDIFFERENT}
    items = [evaluation.split, evaluation.items, evaluation.data, evaluation.densities]
    return json.dumps([config, keys, items, evaluation.format], sort_keys=True)


def headed(groups: Sequence[tuple[EvaluatedRun, ...]]) -> list[Column]:
    """Columns with their headings: the published row, or the experiment; unique by the folder."""
    names = [_name(runs[0]) for runs in groups]
    headings = names
    for places in ([r[0].folder.name for r in groups], [str(r[0].folder) for r in groups]):
        headings = [
            f"{name} ({place})" if headings.count(heading) > 1 else heading
            for name, heading, place in zip(names, headings, places, strict=True)
        ]
    return [
        Column(f"{heading}, {len(runs)} seeds" if len(runs) > 1 else heading, runs)
        for heading, runs in zip(headings, groups, strict=True)
    ]


def _name(run: EvaluatedRun) -> str:
    reference = run.config.reference
    return reference.row if reference else run.evaluation.name or run.folder.name


def different_items(a: Column, b: Column) -> str | None:
    """The difference between the items of two columns' evaluations; None if they are equal."""
    differ = [
        f"{key} {a.evaluated_on[key]} and {b.evaluated_on[key]}"
        for key in a.evaluated_on
        if a.evaluated_on[key] != b.evaluated_on[key]
    ]
    if not differ:
        return None
    return (
        f"{a.heading} ({a.first.folder}) and {b.heading} ({b.first.folder}) were evaluated on "
        f"different items: {'; '.join(differ)}."
    )


def different_densities(a: Column, b: Column) -> list[str]:
    """Shared modalities whose log-likelihoods refer to different densities in two columns."""
    ours, theirs = (column.first.evaluation for column in (a, b))
    return [
        f"{a.heading} and {b.heading} have log-likelihoods of {m} of different densities "
        f"({_density(ours.densities, m)}; {_density(theirs.densities, m)}): values with {m} are "
        f"not comparable. If a run was evaluated by an earlier version, evaluate it again."
        for m in ours.modalities
        if m in theirs.modalities and ours.densities.get(m) != theirs.densities.get(m)
    ]


def _density(densities: Mapping[str, str], modality: str) -> str:
    return densities.get(modality, "not recorded")


def different_formats(a: Column, b: Column) -> list[str]:
    """A remark if versions of mmvae that measure differently evaluated two columns."""
    ours, theirs = (column.first.evaluation.format for column in (a, b))
    if ours == theirs:
        return []
    return [
        f"{a.heading} and {b.heading} were evaluated by versions of mmvae that choose items and "
        f"measure in different ways (format {ours} and {theirs}): coherence and metrics are not "
        f"comparable. Evaluate both again with `mmvae evaluate`."
    ]


def different_metrics(a: Column, b: Column) -> list[str]:
    """Metrics of the same name that two columns measured differently."""
    ours, theirs = (column.first.evaluation.metrics for column in (a, b))
    return [
        f"{a.heading} and {b.heading} measured metrics.{name} in different ways "
        f"({_metric(ours[name])}; {_metric(theirs[name])}): these values are not comparable."
        for name in ours.keys() & theirs.keys()
        if (ours[name].kind, ours[name].keys) != (theirs[name].kind, theirs[name].keys)
    ]


def _metric(metric: MetricFigures) -> str:
    return f"{metric.kind}, {json.dumps(metric.keys, ensure_ascii=False)}"


def different_values(a: Column, b: Column) -> list[str]:
    """Keys of shared modalities that may change the values or densities of the same items."""
    ours, theirs = (column.first.config.modalities for column in (a, b))
    return [
        f"{a.heading} and {b.heading} differ in modalities.{m}.{key} "
        f"({ours[m].get(key)!r}, {theirs[m].get(key)!r}): their results are comparable only if "
        f"the key changes neither the values nor their density."
        for m in ours
        if m in theirs
        for key in {**ours[m], **theirs[m]}
        if key not in NETWORK and ours[m].get(key) != theirs[m].get(key)
    ]
