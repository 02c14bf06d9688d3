"""The conformance suite for metrics."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmvae.evaluation.metric import Metric, Specimen
from mmvae.testing import stage
from mmvae.testing.contract import not_tried, require, require_config, require_offer
from mmvae.testing.subject import global_seed
from mmvae.testing.suite import Suite

_N, _CHUNK = 48, 20  # items, and how many at once where that is to change nothing


class MetricContract(Suite):
    """Checks that a metric keeps the contract of :class:`mmvae.Metric`.

    Set :attr:`metric`, and :attr:`keys` where its keys have no defaults. It measures a small JMVAE
    of the modalities ``a``, grey pictures, and ``b``, attributes of ±1; override
    :meth:`make_specimen` for others.
    """

    role = "metric"
    on_stage = True

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_each_item_has_a_finite_value",
    )

    metric: ClassVar[type[Metric] | None] = None
    """The class under test; unless :meth:`make_metric` makes one."""

    _kept: ClassVar[dict[Hashable, Any]] = {}  # a classifier, say, is trained once for all checks

    def make_metric(self) -> Metric:
        """A fresh metric."""
        metric: Metric = self.under_test()(self.make_config())
        return metric

    def make_specimen(self, batch_size: int = 500) -> Specimen:
        """The specimen, the same at every call."""
        training = partial(stage.items, _N, 1)
        return Specimen(
            stage.model(), stage.items(_N), training, batch_size=batch_size, kept=self._kept
        )

    def test_declarations(self) -> None:
        """The metric has a kind, a config class and a description of its statistics."""
        metric = self.make_metric()
        require_offer("metric", type(metric))
        about = metric.about
        said = isinstance(about, str) and bool(about.strip())
        require(said, "about, one or two sentences on the meaning of the values", repr(about))

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_metric().config)

    def test_unavailable_answers_none_or_why(self) -> None:
        """``unavailable`` returns None, or the reason why a model cannot be measured."""
        answer = self.make_metric().unavailable(self.make_specimen())
        kept = answer is None or (isinstance(answer, str) and bool(answer))
        require(kept, "unavailable to answer None or a reason", repr(answer))

    def test_each_item_has_a_finite_value(self) -> None:
        """``measure`` maps names of values to finite values (n,), in the order of the items."""
        specimen = self.make_specimen()
        found, n = self._measured(specimen), len(specimen.items)
        for name, values in found.items():
            require(isinstance(name, str) and bool(name), "names of values", repr(name))
            shape = tuple(getattr(values, "shape", ())) if isinstance(values, Tensor) else values
            require(shape == (n,), f"{name}: a tensor of shape ({n},), a value per item", shape)
            finite = bool(values.isfinite().all())
            require(finite, f"{name}: finite values", values)

    def test_values_follow_the_seed_alone(self) -> None:
        """A second measurement, with other global random states, gives the same values."""
        with global_seed(1):
            first = self._measured(self.make_specimen())
        with global_seed(2):
            again = self._measured(replace(self.make_specimen(), kept={}))
        require(first.keys() == again.keys(), f"the same names {list(first)} again", list(again))
        for name, values in first.items():
            wants = f"{name}: values that depend only on specimen.seed"
            require(torch.equal(values, again[name]), wants, "global randomness")

    def test_the_size_of_chunks_changes_nothing(self) -> None:
        """``specimen.batch_size`` limits the number of items at once and changes no value."""
        first = self._measured(self.make_specimen())
        again = self._measured(self.make_specimen(_CHUNK))
        for name, values in first.items():
            wants = f"{name}: the same values in chunks of {_CHUNK}"
            alike = name in again and torch.allclose(values, again[name].to(values), 1e-3, 1e-4)
            require(alike, wants, f"{again.get(name)}, not {values}")

    def test_the_model_is_left_alone(self) -> None:
        """No weight changes, and no module goes into train mode."""
        specimen = self.make_specimen()
        before = {name: value.clone() for name, value in specimen.model.state_dict().items()}
        self._measured(specimen)
        after = specimen.model.state_dict()
        changed = [name for name, value in before.items() if not value.equal(after[name])]
        require(not changed, "all weights left as they are", f"others in {changed}")
        training = [n or "the model" for n, m in specimen.model.named_modules() if m.training]
        require(not training, "a model in eval mode", f"train mode in {training}")

    def _measured(self, specimen: Specimen) -> Mapping[str, Tensor]:
        """The result on the specimen; a check ends as not tried if it cannot be measured."""
        metric = self.make_metric()
        reason = metric.unavailable(specimen)
        if reason:
            not_tried(f"it cannot measure {', '.join(specimen.model.modalities)}: {reason}")
        found = metric.measure(specimen)
        kept = isinstance(found, Mapping) and bool(found)
        require(kept, "measure to give values by name", repr(found)[:100])
        return found
