"""The extension's contract: sound ones keep it, and each mistake breaks the check meant for it."""

from __future__ import annotations

import re

import pytest
import torch
from nudge import Nudge, NudgeConfig
from torch import nn

from mmvae import Extension, ExtensionConfig, Phase, Terms
from mmvae.testing import ExtensionContract, violations

KEYS = {"modality": "b"}


class Silent(Extension):
    kind = "silent"
    takes_missing = True


class TestSilent(ExtensionContract):
    """The base changes nothing, and takes what the model takes."""

    extension = Silent


class TestNudge(ExtensionContract):
    extension = Nudge
    keys = KEYS


class CallsItselfTheModel(Silent):
    bare = None


class LooseConfig(NudgeConfig, extra="allow"):
    pass


class TakesAnyKey(Nudge):
    Config = LooseConfig


class ForgetsParameters(Nudge):
    def phases(self):
        own, *rest = super().phases()
        return [Phase(own.name, own.parameters[:1]), *rest]


class TakesTheModels(Nudge):
    def phases(self):
        own, *rest = super().phases()
        return [Phase(own.name, [*own.parameters, *rest[0].parameters]), *rest]


class AveragesTheLoss(Nudge):
    def objective(self, phase, batch, draws, weight):
        terms = super().objective(phase, batch, draws, weight)
        return Terms(terms.loss.mean(), terms.named)


class DrawsGlobally(Nudge):
    def objective(self, phase, batch, draws, weight):
        terms = super().objective(phase, batch, draws, weight)
        return Terms(terms.loss + torch.randn(len(batch)), terms.named)


class GrowsIntoTheModel(Nudge):
    def __init__(self, config, inner):
        super().__init__(config, inner)
        self.bare.prediction = self.prediction


class MovesTheModel(Nudge):
    def objective(self, phase, batch, draws, weight):
        with torch.no_grad():
            next(self.inner.parameters()).add_(1)
        return super().objective(phase, batch, draws, weight)


class ForgetsABuffer(Nudge):
    def __init__(self, config, inner):
        super().__init__(config, inner)
        self.scale = torch.rand(())

    def objective(self, phase, batch, draws, weight):
        terms = super().objective(phase, batch, draws, weight)
        return Terms(terms.loss * (1 + self.scale), terms.named)


class BandConfig(ExtensionConfig):
    bands = {"nudge/accuracy": (0.5, 1.0)}


class BandsOfNothing(Extension):
    kind, Config = "bands", BandConfig


class StepsOverGaps(Silent):
    """Its network is idle where no item of a batch has b."""

    def __init__(self, config, inner):
        super().__init__(config, inner)
        self.scale = nn.Parameter(torch.ones(()))

    def phases(self):
        return [*self.inner.phases(), Phase("own", [self.scale])]

    def objective(self, phase, batch, draws, weight):
        if phase != "own":
            return super().objective(phase, batch, draws, weight)
        present = batch.present.get("b")
        zero = torch.zeros(len(batch), requires_grad=True)
        idle = present is not None and not present.any()
        return Terms(zero if idle else self.scale.expand(len(batch)), {})


BROKEN = [
    (CallsItselfTheModel, "test_declarations", "bare, the innermost model; got None"),
    (TakesAnyKey, "test_config_survives_toml_and_has_a_schema", "unknown keys refused"),
    (ForgetsParameters, "test_phases_are_complete_and_apart", r"none has \['prediction.bias'\]"),
    (TakesTheModels, "test_phases_are_complete_and_apart", "each parameter once; got repeats"),
    (AveragesTheLoss, "test_phases_are_complete_and_apart", r"finite loss of shape \(32,\); got"),
    (DrawsGlobally, "test_the_objective_follows_its_draws", "nudge: .* a function of its draws"),
    (GrowsIntoTheModel, "test_the_model_stays_what_it_was", r"new ones in it: \['prediction.bias"),
    (MovesTheModel, "test_the_model_stays_what_it_was", "left to its optimizer; got others in"),
    (ForgetsABuffer, "test_weights_survive_saving", "keep all in buffers.*; got another"),
    (BandsOfNothing, "test_bands_are_of_terms_that_it_logs", "got 'nudge/accuracy'"),
    (StepsOverGaps, "test_gaps_touch_every_weight", "no b at all: a gradient, .*got none for 1"),
]


@pytest.mark.parametrize(
    ("kind", "check", "said"), BROKEN, ids=[kind.__name__ for kind, _, _ in BROKEN]
)
def test_a_broken_extension_is_caught_by_the_check_meant_for_it(kind, check, said):
    class Contract(ExtensionContract):
        extension = kind
        keys = KEYS if issubclass(kind, Nudge) else {}

    assert re.search(said, violations(Contract())[check])


def test_every_check_has_an_extension_that_breaks_it():
    checks = {name for name in dir(ExtensionContract) if name.startswith("test_")}
    assert checks == {check for _, check, _ in BROKEN}
