"""Coherence of generators of which it is known."""

from __future__ import annotations

import pytest
import torch
from conditional import Conditional
from heard import Heard
from linear_gaussian import jmvae

from mmvae.evaluation.classifiers import Classifier, Classifiers
from mmvae.evaluation.coherence import (
    OF_THE_JUDGE,
    all_pairs,
    class_inputs,
    classified_pairs,
    coherence,
    prior_coherence,
    prior_pairs,
    spread_evenly,
)
from mmvae.evaluation.config import EvaluateConfig
from mmvae.foundations.progress import NOBODY

from .generators import Generator

CONFIG = EvaluateConfig(coherence_samples=300, batch_size=128)


def classifiers(data, progress=NOBODY) -> Classifiers:
    return Classifiers(data.batches("train"), CONFIG.seed, progress)


def measured(data, shuffled: bool):
    model = Generator(data.codecs, shuffled)
    return coherence(model, data.batches("test"), classifiers(data), CONFIG)


def test_a_perfect_generator_is_coherent(data) -> None:
    found = measured(data, shuffled=False)["c → v"]
    assert set(found) == {"temperature 1", "mean", *OF_THE_JUDGE}
    assert found["temperature 1"]["mean"] == found["mean"]["mean"] == 1.0
    assert found["classifier on real items"]["mean"] > 0.97
    assert 1 / 3 <= found["most frequent class"]["mean"] < 0.5


def test_a_shuffled_one_is_right_by_chance(data) -> None:
    found = measured(data, shuffled=True)["c → v"]
    for name in ("temperature 1", "mean"):
        assert abs(found[name]["mean"] - 1 / 3) < 4 * found[name]["error"]


@pytest.mark.parametrize(("count", "classes"), [(300, 3), (10, 4), (7, 20), (20, 7)])
def test_values_are_spread_evenly_over_all_classes(count, classes) -> None:
    counts = sum(
        torch.bincount(spread_evenly(count, classes, seed), minlength=classes)
        for seed in range(200)
    )
    once = torch.bincount(spread_evenly(count, classes, 0), minlength=classes)
    assert int(once.sum()) == count
    assert int(once.max() - once.min()) <= 1
    assert (counts / (200 * count / classes) - 1).abs().max() < 0.35  # none is always left out


def test_from_the_prior_perfect_decoders_agree(data) -> None:
    found = measured(data, shuffled=False)
    assert list(found) == ["c → v", "prior → v, c"]
    free = found["prior → v, c"]
    assert set(free) == {"temperature 1", *OF_THE_JUDGE}
    assert free["temperature 1"] == {"mean": 1.0, "error": 0.0}
    assert free["classifier on real items"] == found["c → v"]["classifier on real items"]


def test_from_the_prior_shuffled_labels_agree_by_chance(data) -> None:
    free = measured(data, shuffled=True)["prior → v, c"]["temperature 1"]
    assert abs(free["mean"] - 1 / 3) < 4 * free["error"]
    assert free["error"] == pytest.approx((2 / 9 / 300) ** 0.5, rel=0.1)


def test_samples_of_the_prior_do_not_depend_on_the_size_of_batches(data) -> None:
    model = jmvae(dict(data.codecs)).eval()
    classifier = Classifier(data.codecs["v"], 3).eval()
    one, other = (
        prior_coherence(
            model, classifier, "c", "v", CONFIG.model_copy(update={"batch_size": size})
        )
        for size in (300, 37)
    )
    assert one.shape == (300,)
    assert one.equal(other)
    assert 0 < one.mean() < 1


def test_progress_tells_every_direction(data) -> None:
    heard = Heard()
    model = Generator(data.codecs)
    coherence(model, data.batches("test"), classifiers(data, heard), CONFIG)
    assert {what for what, _, _ in heard.parts} == {"classifier v → c"}
    assert [done for _, done, _ in heard.parts] == list(range(heard.parts[0][2] + 1))


def test_classes_are_given_as_a_user_gives_them(data) -> None:
    assert class_inputs(data.codecs["c"]).equal(torch.eye(3))


def test_only_modalities_with_classes_are_generated_from(data) -> None:
    model = Generator(data.codecs)
    assert classified_pairs(model) == prior_pairs(model) == all_pairs(model) == [("c", "v")]


def test_a_joint_model_without_subset_posteriors_is_judged_from_the_prior(data) -> None:
    model = jmvae(dict(data.codecs), alpha=0.0).eval()
    assert classified_pairs(model) == []
    found = coherence(model, data.batches("test"), classifiers(data), CONFIG)
    assert list(found) == ["prior → v, c"]


def test_a_conditional_model_has_no_prior_to_sample_from(data) -> None:
    class OfClasses(Conditional):
        """Its condition has classes."""

        def __init__(self) -> None:
            super().__init__()
            self.codecs = {"x": self.codecs["x"], "w": data.codecs["c"]}

    assert classified_pairs(OfClasses()) == all_pairs(OfClasses()) == [("w", "x")]
    assert prior_pairs(OfClasses()) == []
