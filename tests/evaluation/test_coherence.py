"""Coherence of generators of which it is known."""

from __future__ import annotations

import torch

from mmvae.evaluation.coherence import class_inputs, coherence, judged_pairs
from mmvae.settings import EvaluateConfig

from .generators import Generator

CONFIG = EvaluateConfig(coherence_samples=300, batch_size=128)


def measured(data, shuffled: bool):
    model = Generator(data.codecs, shuffled)
    return coherence(model, data.batches("test"), data.batches("train"), CONFIG)["c → v"]


def test_a_perfect_generator_is_coherent(data) -> None:
    found = measured(data, shuffled=False)
    assert set(found) == {"temperature 1", "mean", "classifier on real items"}
    assert found["temperature 1"]["mean"] == found["mean"]["mean"] == 1.0
    assert found["classifier on real items"]["mean"] > 0.97


def test_a_shuffled_one_is_right_by_chance(data) -> None:
    found = measured(data, shuffled=True)
    for name in ("temperature 1", "mean"):
        assert abs(found[name]["mean"] - 1 / 3) < 4 * found[name]["error"]


def test_progress_tells_every_direction(data) -> None:
    told = []
    model = Generator(data.codecs)
    step = lambda *what: told.append(what)  # noqa: E731
    coherence(model, data.batches("test"), data.batches("train"), CONFIG, step)
    assert {what for what, _, _ in told} == {"classifier v → c"}
    assert [done for _, done, _ in told] == list(range(told[0][2] + 1))


def test_classes_are_given_as_a_user_gives_them(data) -> None:
    assert class_inputs(data.codecs["c"]).equal(torch.eye(3))


def test_only_modalities_with_classes_are_generated_from(data) -> None:
    assert judged_pairs(Generator(data.codecs)) == [("c", "v")]
