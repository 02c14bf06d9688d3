"""A gallery of twelve broken codecs, each with one mistake that authors make, and a sound one."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.distributions import Independent, Normal

from mmvae import Codec, Column, Examples, UnsupportedValue, mlp

DIM = 2


class Sound(Codec):
    """Two reals with unit variance, centred by the training items' mean."""

    kind = "sound"
    event_shape = (DIM,)
    feature_dim = 4

    def fit(self, column):
        return {"mean": torch.tensor(column.read().values).mean(0).float()}

    def prepare(self, column):
        bad = ~np.isfinite(column.values).all(1)
        if bad.any():
            raise UnsupportedValue(int(bad.argmax()), column.values[bad][0], "finite numbers")
        return torch.tensor(column.values, dtype=torch.float32) - self.state["mean"], None

    def encoder(self):
        return mlp(DIM, [8, 4], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, DIM)

    def likelihood(self, parameters):
        return Independent(Normal(parameters, 1.0, validate_args=False), 1)

    def point(self, likelihood):
        return likelihood.mean

    def restore(self, x):
        return Column((x + self.state["mean"]).detach().double().numpy())

    def parse(self, text):
        return Column(np.array([[float(number) for number in text.split(",")]]))

    @classmethod
    def examples(cls):
        axis = torch.linspace(-10, 10, 101)
        return Examples(
            lambda n, seed: Column(np.random.default_rng(seed).normal(1, 2, (n, DIM))),
            edges={"far out": Column(np.array([[1e4, -1e4]]))},
            invalid={"NaN": Column(np.array([[0.0, 0.0], [0.0, np.nan]]))},
            grid=(torch.cartesian_prod(axis, axis), 0.2**2),
        )


class Centring(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class MixesItems(Sound):
    """Its encoder subtracts the batch's mean."""

    def encoder(self):
        return nn.Sequential(Centring(), super().encoder())


class HalfNormal(Normal):
    """A density that forgot half of its constant."""

    def log_prob(self, value):
        return super().log_prob(value) + 0.5 * np.log(2 * np.pi)


class NotNormalised(Sound):
    def likelihood(self, parameters):
        return Independent(HalfNormal(parameters, 1.0, validate_args=False), 1)


class ForgetsTheEvent(Sound):
    """Its likelihood has a batch of cells; log_prob adds them up all the same."""

    def likelihood(self, parameters):
        return Normal(parameters, 1.0, validate_args=False)

    def log_prob(self, likelihood, x, observed):
        return super().log_prob(Independent(likelihood, 1), x, observed)


class DrawsGlobally(Sound):
    def resample(self, x, generator):
        return x + torch.randn(x.shape)


class EditsItsInput(Sound):
    """An activation in place, before any layer."""

    def encoder(self):
        return nn.Sequential(nn.ReLU(inplace=True), super().encoder())


class Detached(nn.Module):
    def forward(self, x):
        return x.detach()


class DetachesGradients(Sound):
    def encoder(self):
        return nn.Sequential(super().encoder(), Detached())


class NaNAtTheEdge(Sound):
    """Its quotient is 0/0 where float32 has no room for exp(-|x|)."""

    def log_prob(self, likelihood, x, observed):
        seen = x if observed is None else torch.where(observed, x, 0.0)
        small = (-seen.abs()).exp().amax(-1)
        return super().log_prob(likelihood, x, observed) * (small / small)


class LeaksFloat64(Sound):
    def likelihood(self, parameters):
        return super().likelihood(parameters.double())


class FixesTheDevice(Sound):
    """Its likelihood makes a tensor on the CPU, wherever its parameters are."""

    def likelihood(self, parameters):
        sd = torch.ones(len(parameters), DIM)
        return Independent(Normal(parameters, sd, validate_args=False), 1)


class SharesState(Sound):
    """What it learned is kept by the class, for all codecs of the kind."""

    learned: dict[str, torch.Tensor] = {}

    def fit(self, column):
        self.learned.update(super().fit(column))
        return {}

    def __init__(self, config, state=None):
        super().__init__(config, state)
        self.state = self.learned if self.learned else self.state


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.rand(DIM) + 0.5, persistent=False)

    def forward(self, x):
        return x * self.scale


class ForgetsABuffer(Sound):
    """A random scale that is in no checkpoint."""

    def encoder(self):
        return nn.Sequential(Scaled(), super().encoder())


class ShowsTensors(Sound):
    def show(self, x):
        return list(x)


GALLERY = {
    MixesItems: ("test_items_do_not_mix", "treat each item alone"),
    NotNormalised: ("test_total_probability_is_one", "a total probability of 1"),
    ForgetsTheEvent: (
        "test_networks_and_likelihood_have_the_event_shape",
        r"event shape \(2,\); got .*Independent",
    ),
    DrawsGlobally: ("test_randomness_comes_from_the_generator", "leave global random states"),
    EditsItsInput: ("test_model_values_are_not_edited", "encoder to leave its input alone"),
    DetachesGradients: ("test_gradients_reach_every_parameter", "a gradient in encoder"),
    NaNAtTheEdge: ("test_log_prob_is_finite_on_the_support", "far out: a finite log_prob"),
    LeaksFloat64: ("test_numbers_are_float32_under_autocast_too", "log_prob in float32"),
    FixesTheDevice: ("test_networks_follow_the_device", "that follow the device"),
    SharesState: ("test_codecs_share_no_state", "that stays|another codec was fitted"),
    ForgetsABuffer: ("test_networks_survive_saving", "a loaded encoder"),
    ShowsTensors: ("test_show_gives_one_thing_per_item", "PIL images, or strings; got Tensor"),
}
"""Broken codec → the one check that fails, and what it says."""
