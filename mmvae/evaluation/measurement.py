"""Measured metrics: every statistic with its error, and the values of the items behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.evaluation.metric import Metric, Specimen
from mmvae.evaluation.statistics import mean_and_error, require_finite
from mmvae.foundations.errors import PluginError, naming
from mmvae.foundations.randomness import derived_seed, seeded_global


@dataclass
class Measured:
    """The results of metrics.

    Attributes:
        figures: Name of a metric → ``kind``, ``about``, ``keys``, ``remarks``, and ``figures``
            with mean and error of each.
        items: ``(metric, statistic)`` → values of the items, float64 (n,); NaN if incomplete.
        left_out: Name of a metric that cannot be measured → reason.
    """

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure(metrics: Mapping[str, Metric], specimen: Specimen) -> Measured:
    """Measure a model by every metric, on the items that have every modality.

    Other items get NaN, and a remark gives the number of items used.

    Args:
        metrics: By their names in the configuration.
        specimen: The model with its items.

    Raises:
        PluginError: A metric fails, or its result breaks its contract.
        TrainingError: A statistic is not finite.
    """
    measured, model, whole = Measured(), specimen.model, of_complete(specimen)
    was_training = model.training
    model.eval()
    try:
        for done, (name, metric) in enumerate(metrics.items()):
            specimen.step("metrics", done, len(metrics))
            reason = unavailable(name, metric, specimen)
            if reason is not None:
                measured.left_out[name] = reason
                continue
            _add(measured, name, metric, replace(whole, remarks=[]), specimen.items)
        specimen.step("metrics", len(metrics), len(metrics))
    finally:
        model.train(was_training)
    return measured


def of_complete(specimen: Specimen) -> Specimen:
    """Restrict the specimen to the items, and training items, that have every modality."""

    @cache
    def training() -> Batches:
        return specimen.training().complete()

    return replace(specimen, items=specimen.items.complete(), training=training)


def unavailable(name: str, metric: Metric, specimen: Specimen) -> str | None:
    """The reason why a metric of this name cannot be measured on complete items, or None.

    Raises:
        PluginError: The metric's own check fails.
    """
    model = specimen.model
    looked = {"items of the split": specimen.items}
    if any(codec.sometimes_missing for codec in model.codecs.values()):
        looked["training items"] = specimen.training()
    for what, items in looked.items():
        if not len(items.items_with(model.modalities)):
            return f"metrics take complete items, and none of the {what} has every modality"
    with naming(_title(name, metric), "unavailable"):
        return metric.unavailable(of_complete(specimen))


def _add(
    measured: Measured, name: str, metric: Metric, specimen: Specimen, items: Batches
) -> None:
    seed = derived_seed(specimen.seed, "metric", name)
    with seeded_global(seed), naming(_title(name, metric), "measure"):
        found = metric.measure(specimen)
    values, n = _checked(name, metric, found, len(specimen.items)), len(items)
    rows = items.items_with(specimen.model.modalities)
    count = {} if len(rows) == n else {"items": len(rows)}
    if count:
        specimen.remarks.append(f"Of the {len(rows)} of {n} items that have every modality.")
    for statistic, each in values.items():
        spread = torch.full((n,), torch.nan, dtype=torch.float64)
        measured.items[name, statistic] = spread.index_copy_(0, rows, each)
    measured.figures[name] = {
        "kind": metric.kind,
        "about": metric.about,
        "keys": keys(metric),
        "remarks": list(specimen.remarks),
        "figures": {statistic: mean_and_error(each) | count for statistic, each in values.items()},
    }


def _title(name: str, metric: Metric) -> str:
    return f"metrics.{name}: the metric {metric.kind!r}"


def keys(metric: Metric) -> dict[str, Any]:
    """A metric's table, without keys that do not change its results."""
    return dict(metric.config.model_dump(mode="json", exclude={"every"}))


def _checked(name: str, metric: Metric, values: Any, items: int) -> dict[str, Tensor]:
    """Check the shapes of a metric's result and convert it to float64.

    Raises:
        PluginError: It breaks its contract.
        TrainingError: A value is not finite.
    """
    found = {} if not isinstance(values, Mapping) else dict(values)
    wrong = "" if found else f"{type(values).__name__} without statistics"
    for statistic, each in found.items():
        if not (isinstance(each, Tensor) and each.shape == (items,)):
            wrong = f"{getattr(each, 'shape', each)!r} for {statistic!r}"
    if wrong:
        raise PluginError(
            f"{_title(name, metric)} returned {wrong}; expected a mapping of "
            f"statistics to tensors of shape ({items},), one value per item."
        )
    # Cloned: statistics may be columns of one tensor, and each is written by itself.
    exact = {f: each.detach().cpu().double().clone() for f, each in found.items()}
    for statistic, each in exact.items():
        require_finite(("metrics", name, statistic), each)
    return exact


PREFIX = "metrics/"


def metric_item(name: str, statistic: str) -> str:
    """The name of a metric's statistic among the stored values of items."""
    return f"{PREFIX}{name}/{statistic}"


def cells_of(items: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The stored values of items without those of metrics."""
    return {name: values for name, values in items.items() if not name.startswith(PREFIX)}
