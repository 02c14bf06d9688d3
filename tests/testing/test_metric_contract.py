"""The metric's contract: sound ones keep it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import re

import pytest
import torch

from mmvae import Metric, MetricConfig
from mmvae.evaluation.latent import LatentKL
from mmvae.testing import MetricContract, verdicts, violations


class Missed(Metric):
    """Squared error of the picture at a sample of q(z|b)."""

    kind = "missed"
    about = "Squared error; lower is better."

    def unavailable(self, specimen):
        return specimen.lacks("a", ("b",))

    def measure(self, specimen):
        missed = specimen.decoded("a", ("b",)) - specimen.real("a")
        return {"a": missed.square().flatten(1).sum(1)}


class TestLatent(MetricContract):
    metric = LatentKL


class TestMissed(MetricContract):
    metric = Missed


class SaysNothing(Missed):
    about = " "


class LooseConfig(MetricConfig, extra="allow"):
    pass


class TakesAnyKey(Missed):
    Config = LooseConfig


class AnswersNo(Missed):
    def unavailable(self, specimen):
        return False


class GivesTheMean(Missed):
    def measure(self, specimen):
        return {name: values.mean() for name, values in super().measure(specimen).items()}


class DividesByZero(Missed):
    def measure(self, specimen):
        return {name: values / 0 for name, values in super().measure(specimen).items()}


class GivesAList(Missed):
    def measure(self, specimen):
        return list(super().measure(specimen).values())


class DrawsGlobally(Missed):
    def measure(self, specimen):
        values = super().measure(specimen)["a"]
        return {"a": values + torch.randn(len(values))}


class CountsChunks(Missed):
    def measure(self, specimen):
        n = len(specimen.items)
        return {"chunks": torch.full((n,), n / specimen.batch_size)}


class TrainsTheModel(Missed):
    def measure(self, specimen):
        with torch.no_grad():
            next(specimen.model.parameters()).add_(1)
        return super().measure(specimen)


class LeavesTrainMode(Missed):
    def measure(self, specimen):
        specimen.model.train()
        return super().measure(specimen)


BROKEN = [
    (SaysNothing, "test_declarations", "about, one or two sentences .*got ' '"),
    (TakesAnyKey, "test_config_survives_toml_and_has_a_schema", "unknown keys refused"),
    (AnswersNo, "test_unavailable_answers_none_or_why", "None or a reason; got False"),
    (GivesTheMean, "test_each_item_has_a_finite_value", r"a tensor of shape \(48,\).*got \(\)"),
    (DividesByZero, "test_each_item_has_a_finite_value", "a: finite values; got .*inf"),
    (GivesAList, "test_each_item_has_a_finite_value", r"values by name; got \[tensor"),
    (DrawsGlobally, "test_values_follow_the_seed_alone", "only on specimen.seed; got global"),
    (CountsChunks, "test_the_size_of_chunks_changes_nothing", "the same values in chunks of 20"),
    (TrainsTheModel, "test_the_model_is_left_alone", "all weights left as they are; got others"),
    (LeavesTrainMode, "test_the_model_is_left_alone", "a model in eval mode; got train mode in"),
]


@pytest.mark.parametrize(
    ("kind", "check", "said"), BROKEN, ids=[kind.__name__ for kind, _, _ in BROKEN]
)
def test_a_broken_metric_is_caught_by_the_check_meant_for_it(kind, check, said):
    class Contract(MetricContract):
        metric = kind

    assert re.search(said, violations(Contract())[check], re.DOTALL)


def test_every_check_has_a_metric_that_breaks_it():
    checks = {name for name in dir(MetricContract) if name.startswith("test_")}
    assert checks == {check for _, check, _ in BROKEN}


def test_a_metric_of_something_else_is_not_tried():
    class Elsewhere(Missed):
        def unavailable(self, specimen):
            return specimen.lacks("sound")

    class Contract(MetricContract):
        metric = Elsewhere

    states = {v.check: v for v in verdicts(Contract())}
    untried = states["test_each_item_has_a_finite_value"]
    assert untried.reason == "it cannot measure a, b: the model has no modality 'sound'"
    assert states["test_declarations"].state == "kept"
