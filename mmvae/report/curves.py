"""Training curves: every term by step, on the training and the validation split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mmvae.foundations.errors import CheckpointError
from mmvae.foundations.printable import short_name
from mmvae.report.canvas import LARGEST, MOST_OF_A_LABEL, OKABE_ITO, Picture, new_figure, png
from mmvae.report.report_subject import ReportSubject
from mmvae.report.tables import term
from mmvae.runs.checkpoint_folder import read_state
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.metrics_log import check_prefix, read_training
from mmvae.runs.run import Run
from mmvae.training.state import position_of

Record = Mapping[str, Any]

_RATES = ("seconds", "items_per_second", "learning_rate", "beta")
_NOT_TERMS = ("step", "epoch", "split", "errors", *_RATES)
_COLUMNS = 3

MOST_PANELS = 99
"""Maximum number of panels of a figure."""

Bands = Mapping[str, tuple[float, float]]
"""Term → its range in a sound training."""

BEYOND = "#7F7F7F"
"""Colour of the marks for values outside the visible range of a panel."""


def training_curves(subject: ReportSubject) -> list[Picture]:
    """One panel for each term and one for β; none if nothing was logged."""
    records = records_of(subject.run)
    train = [r for r in records if r["split"] == "train"]
    if not train:
        return []
    validation = [r for r in records if r["split"] == "validation"]
    named = dict.fromkeys(name for record in train for name in record)  # some begin later
    terms = [name for name in named if name not in _NOT_TERMS and name != "loss"]
    bands: dict[str, tuple[float, float]] = {}
    for table in subject.experiment.extensions.values():
        bands |= table.bands
    means = joined(train)
    caption = (
        "Means over items of each term of the objective, by training step. On the training split "
        "there is one sample of z per item, and a point is the mean since the previous point "
        "(short spans of steps are joined to spans of equal length). On the validation split "
        "terms have full weight. All are in nats per item, except shares, such as an accuracy, "
        "and the warm-up weight β. Triangles at the edge of a panel mark values beyond it. "
        + inside(means, bands)
        + subject.origin
    )
    shown = terms[: MOST_PANELS - 1]
    caption += few(shown, terms, "terms")
    drawn = draw({"training": means, "validation": validation}, [*shown, "beta"], bands)
    return [Picture("training", "Training", caption, drawn)]


def records_of(run: Run) -> list[dict[str, Any]]:
    """A run's records, limited to those that its latest checkpoint recorded, if it has one.

    Raises:
        RunError: ``metrics.jsonl`` is damaged.
    """
    with suppress(CheckpointError):  # the run is being trained, or keeps only its model
        path = CheckpointStore(run.checkpoints).find("latest")
        position = position_of(read_state(path), path)
        check_prefix(run.metrics, position.metrics_offset, position.metrics_sha256)
    return read_training(run.metrics)


def observed_curves(subject: ReportSubject) -> list[Picture]:
    """One panel for each statistic from observers; none if there are no such statistics."""
    records = [r for r in records_of(subject.run) if r["split"] == "observed"]
    named = dict.fromkeys(name for record in records for name in record)
    measured = [name for name in named if name not in _NOT_TERMS]
    if not measured:
        return []
    statistics = measured[:MOST_PANELS]
    caption = (
        "Statistics measured by observers during training. Metrics are measured on the validation "
        "split with the same noise each time; bars are standard errors over items. "
        f"{halves(records, statistics)}{subject.origin}{few(statistics, measured, 'statistics')}"
    )
    return [Picture("observed", "Observed", caption, draw({"observed": records}, statistics))]


def few(shown: Sequence[str], names: Sequence[str], what: str) -> str:
    """A sentence on what has no panel; empty if all have one."""
    if len(shown) == len(names):
        return ""
    return (
        f" Only the first {len(shown)} of {len(names):,} {what} are drawn; metrics.jsonl has all."
    )


def halves(records: Sequence[Record], statistics: Sequence[str]) -> str:
    """The value of each statistic half-way through the records, and at their end."""
    middle = records[-1]["step"] / 2
    half = next(r for r in records if r["step"] >= middle)
    shared = [name for name in statistics if name in half and name in records[-1]]
    if half is records[-1] or not shared:
        return ""
    values = (f"{name} {half[name]:.4g} and {records[-1][name]:.4g}" for name in shared)
    return f"At step {half['step']} and at step {records[-1]['step']}: {'; '.join(values)}. "


def inside(records: Sequence[Record], bands: Bands) -> str:
    """The number of points in the last half of the training that lie inside each band."""
    last = [r for r in records if r["step"] > records[-1]["step"] / 2]
    text = ""
    for name, (low, high) in bands.items():
        values = [r[name] for r in last if name in r]
        if values:
            count = sum(low <= value <= high for value in values)
            text += (
                f"Grey band: {name} from {low:g} to {high:g}; {count} of {len(values)} points of "
                f"the last half lie in it. "
            )
    return text


def joined(records: Sequence[Record]) -> list[Record]:
    """Training records of spans of equal length, except the last: short ones are averaged.

    A record one or two steps after another is the mean of one or two batches only, and would look
    like a jump.

    Args:
        records: Records of the training split, in order; each holds the means since the one
            before.
    """
    steps = [0, *(r["step"] for r in records)]
    spans = [(steps[i + 1] - steps[i], record) for i, record in enumerate(records)]
    longest = max(span for span, _ in spans)
    groups: list[list[tuple[int, Record]]] = [[]]
    for span, record in spans:
        if sum(n for n, _ in groups[-1]) >= longest:
            groups.append([])
        groups[-1].append((span, record))
    if len(groups) > 1 and sum(n for n, _ in groups[-1]) < longest:
        groups[-2:] = [groups[-2] + groups[-1]]
    return [_mean(group) for group in groups]


def _mean(group: Sequence[tuple[int, Record]]) -> Record:
    """The last record of a group with the means over all its steps."""
    last = group[-1][1]
    means = {
        name: sum(n * record[name] for n, record in group) / sum(n for n, _ in group)
        for name in last
        if name not in _NOT_TERMS and all(name in record for _, record in group)
    }
    return {**last, **means}


def draw(
    splits: Mapping[str, Sequence[Record]], terms: Sequence[str], bands: Bands | None = None
) -> bytes:
    """Draw the panels, steps along each x axis.

    Args:
        splits: Name → records of a split.
        terms: One for each panel.
        bands: Term → range that is shaded.
    """
    rows = math.ceil(len(terms) / _COLUMNS)
    figure = new_figure(3.2 * _COLUMNS, 2.3 * rows)
    panels = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).flatten()
    colours = OKABE_ITO[: len(splits)][::-1]
    for panel, name in zip(panels, terms, strict=False):
        if name in (bands or {}):
            panel.axhspan(*(bands or {})[name], color=BEYOND, alpha=0.2, linewidth=0)
        for (split, records), colour in zip(splits.items(), colours, strict=True):
            points = [(r["step"], drawable(r[name])) for r in records if name in r]
            errors = [r.get("errors", {}).get(name) for r in records if name in r]
            if any(errors):
                bars = [drawable(error or 0.0) for error in errors]
                panel.errorbar(*zip(*points, strict=True), bars, color=colour, fmt="none")
            if points:
                dot = "o" if len(points) == 1 or any(errors) else None
                panel.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    linewidth=1.3,
                    marker=dot,
                    markersize=4,
                    label=split,
                )
        panel.set_title(short_name(title(name), MOST_OF_A_LABEL), fontsize=9)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25)
        values = [(r["step"], r[name]) for rs in splits.values() for r in rs if name in r]
        if name not in ("beta", "penalty") and not name.startswith("subset_kl/"):
            low_end(panel, values)
        mark_beyond(panel, values)
    for panel in panels[len(terms) :]:
        panel.set_visible(False)
    for panel in panels[max(0, len(terms) - _COLUMNS) : len(terms)]:
        panel.set_xlabel("step", fontsize=8)
        panel.tick_params(labelbottom=True)
    if len(splits) > 1:
        panels[0].legend(fontsize=8)
    return png(figure)


def title(name: str) -> str:
    """A term's name above its panel."""
    if name == "beta":
        return "warm-up weight β"
    if name == "elbo":
        return "ELBO"
    if name == "penalty":
        return "penalty"
    if name.startswith("subset_kl/"):
        return f"KL to the posterior of {name.removeprefix('subset_kl/')}"
    return term(name)


def low_end(panel: Any, points: Sequence[tuple[int, float]]) -> None:
    """Cut off the first, wild steps so that the rest can be read, and mark that."""
    ordered = sorted(value for _, value in points if abs(value) <= LARGEST)
    if not ordered:
        return
    low, high = ordered[len(ordered) // 50], ordered[-1 - len(ordered) // 50]
    margin = 0.05 * (high - low)
    below = [step for step, value in points if -LARGEST <= value < low - margin]
    above = [step for step, value in points if high + margin < value <= LARGEST]
    if high == low or not (below or above):
        return
    panel.set_ylim(low - 2 * margin, high + 2 * margin)
    for steps, edge, marker in (
        (below, low - 1.5 * margin, "v"),
        (above, high + 1.5 * margin, "^"),
    ):
        panel.plot(steps, [edge] * len(steps), marker, color=BEYOND, markersize=4)


def drawable(value: float) -> float:
    """A value, or NaN if it is too large to be drawn to scale."""
    return value if abs(value) <= LARGEST else math.nan


def mark_beyond(panel: Any, points: Sequence[tuple[int, float]]) -> None:
    """Mark the values that are too large to be drawn to scale, at the edge of the panel."""
    for sign, edge, marker in ((-1, 0.03, "v"), (1, 0.97, "^")):
        steps = [step for step, value in points if sign * value > LARGEST]
        if steps:
            edges = [edge] * len(steps)
            place = panel.get_xaxis_transform()
            panel.plot(steps, edges, marker, color=BEYOND, markersize=4, transform=place)
