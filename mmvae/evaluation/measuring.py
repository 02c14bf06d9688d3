"""Metrics measured: every figure with its error, and the values of the items behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from mmvae.errors import PluginError, naming
from mmvae.evaluation.figures import mean_and_error, require_finite
from mmvae.evaluation.metric import Metric, Specimen
from mmvae.randomness import derived_seed, seeded_global


@dataclass
class Measured:
    """What metrics gave.

    Attributes:
        figures: Name of a metric → ``kind``, ``about``, ``keys``, ``remarks``, and ``figures``
            with mean and error of each.
        items: ``(metric, figure)`` → values of the items, float64 (n,).
        left_out: Name of a metric that cannot be measured → why.
    """

    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[tuple[str, str], Tensor] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def measure(metrics: Mapping[str, Metric], specimen: Specimen) -> Measured:
    """Measure a model by every metric.

    Args:
        metrics: By their names in the configuration.
        specimen: The model with its items.

    Raises:
        PluginError: A metric fails, or returns something else than its contract says.
        TrainingError: A figure is not finite.
    """
    measured, model = Measured(), specimen.model
    was_training = model.training
    model.eval()
    try:
        for done, (name, metric) in enumerate(metrics.items()):
            specimen.step("metrics", done, len(metrics))
            reason = unavailable(name, metric, specimen)
            if reason is not None:
                measured.left_out[name] = reason
                continue
            _add(measured, name, metric, replace(specimen, remarks=[]))
        specimen.step("metrics", len(metrics), len(metrics))
    finally:
        model.train(was_training)
    return measured


INCOMPLETE = "metrics take complete items, and some lack modalities"
"""Why no metric is measured on items with gaps."""


def unavailable(name: str, metric: Metric, specimen: Specimen) -> str | None:
    """Why a metric of this name cannot be measured, or None; metrics take complete items.

    Raises:
        PluginError: The metric fails to say.
    """
    trained = any(codec.gaps for codec in specimen.model.codecs.values())
    if trained or specimen.items.gaps:
        return INCOMPLETE
    with naming(_title(name, metric), "unavailable"):
        return metric.unavailable(specimen)


def _add(measured: Measured, name: str, metric: Metric, specimen: Specimen) -> None:
    seed = derived_seed(specimen.seed, "metric", name)
    with seeded_global(seed), naming(_title(name, metric), "measure"):
        found = metric.measure(specimen)
    values = _checked(name, metric, found, len(specimen.items))
    measured.items |= {(name, figure): each for figure, each in values.items()}
    measured.figures[name] = {
        "kind": metric.kind,
        "about": metric.about,
        "keys": keys(metric),
        "remarks": list(specimen.remarks),
        "figures": {figure: mean_and_error(each) for figure, each in values.items()},
    }


def _title(name: str, metric: Metric) -> str:
    return f"metrics.{name}: the metric {metric.kind!r}"


def keys(metric: Metric) -> dict[str, Any]:
    """A metric's table, but for what changes no figure."""
    return dict(metric.config.model_dump(mode="json", exclude={"every"}))


def _checked(name: str, metric: Metric, values: Any, items: int) -> dict[str, Tensor]:
    """What a metric returned, in float64, after a look at its shapes.

    Raises:
        PluginError: It is something else than its contract says.
        TrainingError: A value is not finite.
    """
    found = {} if not isinstance(values, Mapping) else dict(values)
    wrong = "" if found else f"{type(values).__name__} without figures"
    for figure, each in found.items():
        if not (isinstance(each, Tensor) and each.shape == (items,)):
            wrong = f"{getattr(each, 'shape', each)!r} for {figure!r}"
    if wrong:
        raise PluginError(
            f"{_title(name, metric)} returned {wrong}; expected a mapping of "
            f"figures to tensors of shape ({items},), one value per item."
        )
    # Cloned, since figures may be columns of one tensor, and are written one by one.
    exact = {f: each.detach().cpu().double().clone() for f, each in found.items()}
    for figure, each in exact.items():
        require_finite(("metrics", name, figure), each)
    return exact


PREFIX = "metrics/"


def metric_item(name: str, figure: str) -> str:
    """What the values of a metric's figure are called among the kept values of items."""
    return f"{PREFIX}{name}/{figure}"


def cells_of(items: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The kept values of items without those of metrics."""
    return {name: values for name, values in items.items() if not name.startswith(PREFIX)}
