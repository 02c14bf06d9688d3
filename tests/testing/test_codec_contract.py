"""The conformance suite passes a good codec and catches broken ones by the check meant for it."""

from __future__ import annotations

import copy
import re
import unittest

import numpy as np
import pytest
import torch
from testing.strangers import STRANGERS, RoundsToHalves
from torch import nn
from torch.distributions import Independent, Normal

from mmvae import Codec, CodecConfig, Column, UnsupportedValue, mlp
from mmvae.testing import CodecContract, verdicts, violations
from mmvae.testing.gradients import agrees
from mmvae.testing.raw_values import differing_rows
from mmvae.testing.subject import N, same


class Vector(Codec):
    """A real vector with unit variance: all that a codec must have."""

    kind = "toy-vector"

    def fit(self, column):
        values = column.read().values
        return {"dim": values.shape[1], "mean": torch.tensor(values).mean(0).float()}

    @property
    def event_shape(self):
        return (self.state["dim"],)

    @property
    def feature_dim(self):
        return 4

    def prepare(self, column):
        bad = ~np.isfinite(column.values).all(1)
        if bad.any():
            raise UnsupportedValue(int(bad.argmax()), column.values[bad][0], "finite numbers")
        return torch.tensor(column.values, dtype=torch.float32) - self.state["mean"], None

    def encoder(self):
        return mlp(self.state["dim"], [8, 4], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, self.state["dim"])

    def likelihood(self, parameters):
        return Independent(Normal(parameters, 1.0, validate_args=False), 1)

    def point(self, likelihood):
        return likelihood.mean

    def restore(self, x):
        return Column((x + self.state["mean"]).detach().double().numpy())

    def parse(self, text):
        return Column(np.array([[float(number) for number in text.split(",")]]))


class VectorContract(CodecContract):
    codec: type[Codec] = Vector
    dim = 2

    def make_codec(self):
        return self.codec(CodecConfig())

    def make_column(self, n, seed):
        return Column(np.random.default_rng(seed).normal(1, 2, size=(n, self.dim)))

    def invalid_columns(self):
        values = np.zeros((3, self.dim))
        values[2, 0] = np.nan
        return [("NaN", Column(values))]

    def integration_grid(self, codec):
        axis = torch.linspace(-10, 10, 201)
        return torch.cartesian_prod(axis, axis), 0.1**2


class TestGoodCodec(VectorContract):
    """A codec of a few lines keeps the whole contract."""


def test_no_violations_without_pytest():
    assert violations(VectorContract()) == {}


class CentringEncoder(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class Mixes(Vector):
    def encoder(self):
        return nn.Sequential(CentringEncoder(), super().encoder())


class MixesAndSaysSo(Mixes):
    mixes_items = True


class ForgetsTheEvent(Vector):
    def likelihood(self, parameters):
        return Normal(parameters, 1.0, validate_args=False)


class DrawsGlobally(Vector):
    def resample(self, x, generator):
        return x + torch.randn(x.shape)


class DrawsByValue(Vector):
    def resample(self, x, generator):
        torch.rand(int((x > 0).sum()), generator=generator)
        return x


class SamplesGlobally(Vector):
    def sample(self, likelihood, generator):
        return likelihood.sample()


class EditsRawValues(Vector):
    def prepare(self, column):
        column.values[:] -= 1
        return super().prepare(column)


class EditsModelValues(Vector):
    def fixed(self, x, generator):
        return x.mul_(0.5)


class LooksAtTheWholeColumn(Vector):
    def prepare(self, column):
        x, observed = super().prepare(column)
        return x - x.mean(0), observed


class TakesNaN(Vector):
    def prepare(self, column):
        return torch.tensor(column.values, dtype=torch.float32), None


class RefusesWithoutRow(Vector):
    def prepare(self, column):
        if np.isnan(column.values).any():
            raise UnsupportedValue(None, "NaN", "finite numbers")
        return super().prepare(column)


class ForgetsAParameter(Vector):
    def encoder(self):
        network = super().encoder()
        network.register_parameter("idle", nn.Parameter(torch.ones(1)))
        return network


class CountsUnobservedCells(Vector):
    def log_prob(self, likelihood, x, observed):
        return likelihood.log_prob(x if observed is None else torch.where(observed, x, 0.0))


class NotNormalised(Vector):
    def log_prob(self, likelihood, x, observed):
        return super().log_prob(likelihood, x, observed) + 1


class RefusesItsStandIn(Vector):
    def log_prob(self, likelihood, x, observed):
        if observed is None and not x.any(-1).all():
            raise IndexError("no symbol 0")
        return super().log_prob(likelihood, x, observed)


class LosesPrecision(Vector):
    def likelihood(self, parameters):
        return super().likelihood(parameters.bfloat16())


class KeepsAnObject(Vector):
    def fit(self, column):
        return {**super().fit(column), "scale": np.float32(1)}


class SharesItsEncoder(Vector):
    shared = mlp(2, [8, 4], "tanh")

    def encoder(self):
        return self.shared


class ShowsNumbers(Vector):
    def show(self, x):
        return list(x)


class RestoresOtherUnits(Vector):
    def restore(self, x):
        return Column(x.detach().double().numpy())


class WantsValuesRead(Vector):
    def fit(self, column):
        return {"dim": column.values.shape[1], "mean": torch.zeros(column.values.shape[1])}


class Countdown(nn.Module):
    def __init__(self):
        super().__init__()
        self.ones = torch.ones(2)

    def forward(self, x):
        return x * self.ones


class LeavesATensorBehind(Vector):
    def decoder(self, input_dim):
        return nn.Sequential(super().decoder(input_dim), Countdown())


class Average(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = torch.zeros(2)

    def forward(self, x):
        if self.training:
            self.mean = self.mean + x.detach().mean(0)
        return x if self.training else x - self.mean.to(x)


class ForgetsItsAverage(Vector):
    mixes_items = True

    def encoder(self):
        return nn.Sequential(Average(), super().encoder())


class LooseConfig(CodecConfig, extra="allow"):
    pass


class TakesAnyKey(Vector):
    Config = LooseConfig

    def __init__(self, config, state=None):
        super().__init__(LooseConfig(), state)


BROKEN = [
    (Mixes, "test_items_do_not_mix", "treat each item alone"),
    (ForgetsTheEvent, "test_networks_and_likelihood_have_the_event_shape", "Independent|batch"),
    (DrawsGlobally, "test_randomness_comes_from_the_generator", "resample to leave global"),
    (DrawsByValue, "test_randomness_comes_from_the_generator", "same number"),
    (SamplesGlobally, "test_randomness_comes_from_the_generator", "sample to leave global"),
    (EditsRawValues, "test_raw_values_are_not_edited", "raw values left"),
    (EditsModelValues, "test_model_values_are_not_edited", "fixed to leave its input"),
    (LooksAtTheWholeColumn, "test_prepare_is_a_function_of_each_row", "rows 3, 1 alone"),
    (TakesNaN, "test_values_outside_the_support_are_refused", "NaN: prepare to raise"),
    (RefusesWithoutRow, "test_values_outside_the_support_are_refused", "with a row"),
    (ForgetsAParameter, "test_gradients_reach_every_parameter", "idle"),
    (CountsUnobservedCells, "test_unobserved_cells_have_no_effect", "if no cell is observed"),
    (NotNormalised, "test_total_probability_is_one", "total probability"),
    (RefusesItsStandIn, "test_log_prob_takes_the_stand_in", "no symbol 0"),
    (LosesPrecision, "test_numbers_are_float32_under_autocast_too", "point in float32"),
    (KeepsAnObject, "test_state_survives_saving", "a state of numbers"),
    (SharesItsEncoder, "test_codecs_share_no_state", "fresh parameters"),
    (WantsValuesRead, "test_fit_takes_values_unread", "values unread"),
    (LeavesATensorBehind, "test_networks_follow_the_device", "buffers"),
    (ForgetsItsAverage, "test_networks_survive_saving", "a loaded encoder"),
    (ShowsNumbers, "test_show_gives_one_thing_per_item", "PIL images, or strings"),
    (RestoresOtherUnits, "test_restore_undoes_prepare", "the values .* back"),
    (TakesAnyKey, "test_config_survives_toml_and_has_a_schema", "unknown keys refused"),
]


@pytest.mark.parametrize(
    ("codec", "check", "message"), BROKEN, ids=[codec.__name__ for codec, _, _ in BROKEN]
)
def test_broken_codec_is_caught_by_the_check_meant_for_it(codec, check, message):
    contract = VectorContract()
    contract.codec = codec
    assert re.search(message, violations(contract)[check], re.DOTALL)


def test_every_check_has_a_codec_that_breaks_it():
    checks = {name for name in dir(CodecContract) if name.startswith("test_")}
    assert checks == {check for _, check, _ in BROKEN} | {check for check, _ in STRANGERS.values()}


def test_a_codec_that_declares_mixing_is_let_through():
    contract = VectorContract()
    contract.codec = MixesAndSaysSo
    states = {verdict.check: verdict for verdict in verdicts(contract)}
    verdict = states["test_items_do_not_mix"]
    assert (verdict.state, verdict.reason) == ("not tried", "it declares mixes_items = True")
    assert verdict.title == "items do not mix"


def test_gradients_are_not_compared_at_corners_and_where_log_prob_is_coarse():
    zeros = torch.zeros(N, 2)
    assert agrees(lambda p, dtype: p.relu().sum(1), zeros, "") == 0
    assert agrees(lambda p, dtype: (p.detach() - 1e9 - 1e-6 * p).float().sum(1), zeros, "") == 0
    assert agrees(lambda p, dtype: (p.sin() + p).sum(1), zeros, "") == N
    assert agrees(lambda p, dtype: (p.sin() + p).float().sum(1), zeros, "") == N


def test_violations_names_check_and_reason():
    contract = VectorContract()
    contract.codec = NotNormalised
    found = violations(contract)
    assert "total probability of 1" in found.pop("test_total_probability_is_one")
    assert not found


def test_what_follows_from_another_failure_is_not_tried_and_says_so():
    contract = VectorContract()
    contract.codec = NotNormalised  # 1 nat also where nothing is observed
    states = {verdict.check: verdict for verdict in verdicts(contract)}
    verdict = states["test_unobserved_cells_have_no_effect"]
    assert verdict.state == "not tried"
    assert verdict.reason == "not run, because this check fails: total probability is one"
    with pytest.raises(unittest.SkipTest, match="not run, because this check fails"):
        contract.test_unobserved_cells_have_no_effect()


def test_restored_values_differ_by_more_than_a_level_of_8_bits():
    raw = np.array([[0.0, 255.0], [np.nan, 100.0], [7.0, 9.0]])
    back = raw + np.array([[0.9, 0.0], [5.0, 0.0], [0.0, 1.2]])
    assert differing_rows(raw, back, None) == [2]
    assert differing_rows(raw, back, torch.tensor([[1, 1], [0, 1], [1, 0]]).bool()) == []
    assert differing_rows(["a", "b"], ["a", "a"], None) == [1]
    assert differing_rows([1, 2], ["1", "2"], None) is None


def test_restored_values_that_float32_rounds_do_not_differ():
    raw = np.full((3, 1), 123456789.123)
    assert differing_rows(raw, raw.astype(np.float32).astype(np.float64), None) == []


def test_a_codec_that_declares_losses_is_let_through():
    contract = type("Declared", (CodecContract,), {"codec": RoundsToHalves, "restores": False})()
    states = {verdict.check: verdict for verdict in verdicts(contract)}
    verdict = states["test_restored_values_are_the_raw_ones"]
    assert (verdict.state, verdict.reason) == ("not tried", "it declares restores = False")


def test_missing_values_among_objects_are_equal_to_themselves():
    values = np.array(["a", np.nan, None], object)
    assert same(values, copy.deepcopy(values))
    assert not same(values, np.array(["a", 1.0, None], object))
