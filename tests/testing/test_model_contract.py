"""The model's contract: JMVAE keeps it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import re

import pytest
import torch

from mmvae import Phase, Terms
from mmvae.models.jmvae import JMVAE
from mmvae.models.posteriors import DiagonalGaussian
from mmvae.testing import ModelContract, violations

SMALL = {"latent_dim": 2, "fusion_dim": 8}


class TestJMVAE(ModelContract):
    model = JMVAE
    keys = SMALL


class TestJMVAEZero(ModelContract):
    model = JMVAE
    keys = {**SMALL, "missing": "zero"}


class ForgetsParameters(JMVAE):
    def phases(self):
        return [Phase("jmvae", super().phases()[0].parameters[1:])]


class AveragesTheLoss(JMVAE):
    def objective(self, phase, batch, draws, weight):
        terms = super().objective(phase, batch, draws, weight)
        return Terms(terms.loss.mean(), terms.named)


class DrawsGlobally(JMVAE):
    def objective(self, phase, batch, draws, weight):
        terms = super().objective(phase, batch, draws, weight)
        return Terms(terms.loss + torch.randn(len(batch)), terms.named)


class AnswersYes(JMVAE):
    def supports(self, targets, given, proposal):
        return True


class SupportsNothing(JMVAE):
    def supports(self, targets, given, proposal):
        return "Not today."


class Stuck(DiagonalGaussian):
    """Samples that ignore the noise: its mean every time."""

    def rsample(self, noise):
        return self.mean.expand_as(noise)


class IgnoresTheNoise(JMVAE):
    def posterior(self, observed):
        q = super().posterior(observed)
        return Stuck(q.mean, q.log_variance)


class SumsOverItems(JMVAE):
    def log_likelihood(self, modality, z, x, observed=None, given=None, present=None):
        return super().log_likelihood(modality, z, x, observed, given, present).sum()


class SkipsTheAbsent(JMVAE):
    def log_likelihood(self, modality, z, x, observed=None, given=None, present=None):
        if present is not None and not present.any():
            return torch.zeros(len(z))
        return super().log_likelihood(modality, z, x, observed, given, present)


BROKEN = {
    ForgetsParameters: (
        "test_phases_are_complete_and_apart",
        "every trained parameter in a phase",
    ),
    AveragesTheLoss: ("test_phases_are_complete_and_apart", r"finite loss of shape \(32,\); got"),
    DrawsGlobally: ("test_the_objective_follows_its_draws", "a function of its draws"),
    AnswersYes: ("test_supports_answers_for_every_figure", "None or a reason for .*got True"),
    SupportsNothing: ("test_supports_answers_for_every_figure", "a likelihood that it supports"),
    IgnoresTheNoise: ("test_samples_follow_the_noise", "other samples of other noise"),
    SkipsTheAbsent: ("test_gaps_touch_every_weight", "no b at all: a gradient, perhaps 0"),
    SumsOverItems: ("test_distributions_have_their_shapes", r"log p\(a\|z\) of shape"),
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_a_broken_model_is_caught_by_the_check_meant_for_it(kind):
    class Contract(ModelContract):
        model = kind
        keys = SMALL

    check, said = BROKEN[kind]
    assert re.search(said, violations(Contract())[check])


def test_the_bound_of_samples_that_ignore_the_noise_does_not_rise():
    class Contract(ModelContract):
        model = IgnoresTheNoise
        keys = SMALL

    found = violations(Contract())
    assert "that rises from k = 1 to 64" in found["test_the_bound_rises_with_samples"]
