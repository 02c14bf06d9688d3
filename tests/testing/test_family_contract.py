"""The contract of families: kept by a sound one, and each check broken by one made for it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys import Plain, PlainConfig, PlainFamily, PlainHead

from mmvae import FamilyConfig
from mmvae.models.posteriors import DiagonalGaussian
from mmvae.testing import FamilyContract, violations


def broken(head: type[nn.Module] | None = None, posterior: type[Plain] | None = None, **class_):
    """A contract of the toy family with another head, or with another posterior."""
    if posterior is not None:

        class Other(PlainHead):
            def forward(self, context: Tensor):
                return posterior(super().forward(context).gaussian)

        head = Other

    class Broken(PlainFamily):
        def head(self, context_dim: int, latent_dim: int) -> nn.Module:
            return (head or PlainHead)(context_dim, latent_dim)

    for name, value in class_.items():
        setattr(Broken, name, value)

    class Suite(FamilyContract):
        family = Broken

    return violations(Suite())


class Unnormalised(Plain):
    def log_prob(self, z):
        return super().log_prob(z) + 0.1


class Spread(Plain):
    def rsample(self, noise):
        return super().rsample(1.3 * noise)


class Careless(Plain):
    def rsample(self, noise):
        return super().rsample(torch.randn_like(noise))


class Detached(Plain):
    def rsample(self, noise):
        return super().rsample(noise).detach()


class Pointless(Plain):
    def point(self):
        return super().point().sum(-1)


class SameForAll(Plain):
    def point(self):
        return torch.zeros_like(super().point())


class Halved(Plain):
    def log_prob(self, z):
        return super().log_prob(z).bfloat16()


class Mixing(PlainHead):
    def forward(self, context):
        return super().forward(context - context.mean(0))


class Idle(PlainHead):
    def __init__(self, context_dim, latent_dim):
        super().__init__(context_dim, latent_dim)
        self.unused = nn.Parameter(torch.zeros(3))


class Forgetful(PlainHead):
    def __init__(self, context_dim, latent_dim):
        super().__init__(context_dim, latent_dim)
        self.shift = torch.randn(2 * latent_dim)

    def forward(self, context):
        mean, log_variance = self.shift.chunk(2)
        q = super().forward(context).gaussian
        return Plain(DiagonalGaussian(q.mean + mean, q.log_variance + log_variance))


class Undescribed(FamilyConfig):
    scale: float = 1.0


CASES = {
    "total_probability_is_one": {"posterior": Unnormalised},
    "samples_follow_the_density": {"posterior": Spread},
    "samples_follow_the_noise": {"posterior": Careless},
    "distributions_have_their_shapes": {"posterior": Pointless},
    "points_follow_the_context": {"posterior": SameForAll},
    "autocast_leaves_float32": {"posterior": Halved},
    "items_do_not_mix": {"head": Mixing},
    "gradients_reach_every_parameter": {"head": Idle},
    "weights_survive_saving": {"head": Forgetful},
    "config_survives_toml_and_has_a_schema": {"Config": Undescribed},
    "declarations": {"kind": ""},
}


def test_a_sound_family_keeps_it():
    assert broken() == {}


@pytest.mark.parametrize("check", CASES)
def test_each_check_catches_what_it_is_for(check):
    found = broken(**CASES[check])
    assert f"test_{check}" in found
    assert found[f"test_{check}"].startswith("Wanted ")


def test_detached_samples_are_caught_too():
    found = broken(posterior=Detached)
    assert "samples with gradients" in found["test_samples_follow_the_noise"]


def test_every_check_is_broken_by_a_case():
    checks = {name.removeprefix("test_") for name in dir(FamilyContract) if name[:5] == "test_"}
    assert checks == set(CASES)
    assert PlainConfig.model_fields["scale"].description
