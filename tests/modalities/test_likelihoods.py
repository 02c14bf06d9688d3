"""Every likelihood keeps the contract; the suite finds broken ones; links and closed forms."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import Tensor
from torch.distributions import (
    Categorical,
    Distribution,
    LogNormal,
    MixtureSameFamily,
    Normal,
    Poisson,
    StudentT,
    VonMises,
    constraints,
)
from torch.testing import assert_close

from mmvae import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    ContinuousBernoulliLikelihood,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
    SoftplusScale,
    StudentTLikelihood,
    product_over_cells,
)
from mmvae.modalities.likelihoods.location_scale import LocationScaleLikelihood
from mmvae.testing import LikelihoodContract, verdicts, violations

Grid = tuple[Tensor, float]


def line(low: float, high: float, points: int) -> Grid:
    """One cell's values at the middles of equal intervals, and their width."""
    step = (high - low) / points
    return torch.linspace(low + step / 2, high - step / 2, points)[:, None], step


class RealCells(LikelihoodContract):
    event_shape = (1,)
    reach = 60.0

    def integration_grid(self) -> Grid:
        return line(-self.reach, self.reach, 60_001)


class TestGaussian(RealCells):
    def make_likelihood(self) -> Likelihood:
        return GaussianLikelihood(SoftplusScale(1e-2))


class TestGaussianOfFixedScale(RealCells):
    def make_likelihood(self) -> Likelihood:
        return GaussianLikelihood(0.5, location=torch.tanh)


class TestGaussianByItsVariance(RealCells):
    def make_likelihood(self) -> Likelihood:
        return GaussianLikelihood(SoftplusScale(1e-2, squared=True))


class TestLaplace(RealCells):
    def make_likelihood(self) -> Likelihood:
        return LaplaceLikelihood(SoftplusScale(1e-2))


class TestStudentT(RealCells):
    reach = 300.0

    def make_likelihood(self) -> Likelihood:
        return StudentTLikelihood(SoftplusScale(1e-2), 4.0)


class TestGaussianPictures(LikelihoodContract):
    """Several cells in three dimensions: draws of single cells follow their density."""

    event_shape = (2, 3, 4)

    def make_likelihood(self) -> Likelihood:
        return GaussianLikelihood(SoftplusScale(1e-2))


class TestBernoulli(LikelihoodContract):
    event_shape = (4,)

    def make_likelihood(self) -> Likelihood:
        return BernoulliLikelihood()

    def enumerate_support(self) -> Tensor:
        return torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))


class TestContinuousBernoulli(LikelihoodContract):
    event_shape = (1,)

    def make_likelihood(self) -> Likelihood:
        return ContinuousBernoulliLikelihood()

    def integration_grid(self) -> Grid:
        return line(0.0, 1.0, 5001)


class TestCategorical(LikelihoodContract):
    event_shape = (5,)

    def make_likelihood(self) -> Likelihood:
        return CategoricalLikelihood()

    def enumerate_support(self) -> Tensor:
        return torch.eye(5)


class Positive(Likelihood):
    """A density of a stranger, in one class: log x is normal with mean μ and σ = 1/2."""

    parameters = ("location",)
    support = constraints.positive

    def distribution(self, parameters: Tensor) -> Distribution:
        bounded = 20 * (parameters / 20).tanh()
        scale = torch.full_like(bounded, 0.5)
        return product_over_cells(LogNormal(bounded, scale, validate_args=False))


class TestPositive(LikelihoodContract):
    event_shape = (1,)

    def make_likelihood(self) -> Likelihood:
        return Positive()

    def integration_grid(self) -> Grid:
        return line(0.0, 60.0, 60_001)


# -- broken ones ----------------------------------------------------------------------------------


class Twice(GaussianLikelihood):
    """A density that integrates to 2."""

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return super().log_prob(p, x, observed) + math.log(2)


class Narrow(GaussianLikelihood):
    """Draws of half the deviation."""

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        return p.mean + (super().sample(p, generator) - p.mean) / 2


class Still(GaussianLikelihood):
    """A point that says nothing of the parameters."""

    def point(self, p: Distribution) -> Tensor:
        return torch.zeros_like(p.mean)


class Global(GaussianLikelihood):
    """Draws from the global random state."""

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        return p.sample()


class Unbounded(GaussianLikelihood):
    """A scale that overflows."""

    def distribution(self, parameters: Tensor) -> Distribution:
        scale = parameters["raw_scale"].exp()
        return product_over_cells(Normal(parameters["location"], scale, validate_args=False))


class Elsewhere(Positive):
    """Draws below 0 of a density above it."""

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        return -super().sample(p, generator)


class Floored(GaussianLikelihood):
    """A floor far below the density of all values of the grid."""

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return super().log_prob(p, x, observed).clamp(min=-1e5)


class FlooredTails(StudentTLikelihood):
    """A floor that acts at extreme values alone, approached smoothly."""

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        nats = super().log_prob(p, x, observed)
        return torch.logaddexp(nats, torch.full_like(nats, -100.0))


class FlooredPositive(Positive):
    """A floor of values above 0."""

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return super().log_prob(p, x, observed).clamp(min=-1e3)


class Mixing(GaussianLikelihood):
    """An item's location depends on the others."""

    def distribution(self, parameters: Tensor) -> Distribution:
        shifted = parameters["location"] - parameters["location"].mean(0)
        return super().distribution({**parameters, "location": shifted})


class HalfGradient(GaussianLikelihood):
    """Half of the gradient in the location is detached."""

    def distribution(self, parameters: Tensor) -> Distribution:
        location = 0.5 * parameters["location"] + 0.5 * parameters["location"].detach()
        return super().distribution({**parameters, "location": location})


class ScaleDetached(GaussianLikelihood):
    """The scale gets a gradient of 0."""

    def distribution(self, parameters: Tensor) -> Distribution:
        raw = parameters["raw_scale"]
        return super().distribution({**parameters, "raw_scale": raw.detach() + 0 * raw})


BROKEN = {
    HalfGradient: "test_gradients_are_those_of_log_prob",
    ScaleDetached: "test_gradients_are_those_of_log_prob",
    Twice: "test_total_probability_is_one",
    Narrow: "test_samples_follow_the_density",
    Still: "test_points_follow_the_parameters",
    Global: "test_randomness_comes_from_the_generator",
    Unbounded: "test_extreme_parameters_stay_finite",
    Elsewhere: "test_samples_and_points_lie_in_the_support",
    Mixing: "test_items_do_not_mix",
    Floored: "test_log_prob_has_no_floor",
    FlooredTails: "test_log_prob_has_no_floor",
    FlooredPositive: "test_log_prob_has_no_floor",
}


@pytest.mark.parametrize(("broken", "check"), BROKEN.items(), ids=lambda case: str(case))
def test_the_suite_finds_a_broken_density(broken: type[Likelihood], check: str) -> None:
    class Suite(RealCells):
        def make_likelihood(self) -> Likelihood:
            return broken() if issubclass(broken, Positive) else broken(SoftplusScale(1e-2))

        def integration_grid(self) -> Grid:
            return (
                line(0.0, 60.0, 60_001) if issubclass(broken, Positive) else line(-60, 60, 60_001)
            )

    assert check in violations(Suite())


class Counts(Likelihood):
    """Counts, of which the smallest are enumerated."""

    parameters = ("log_rate",)
    support = constraints.nonnegative_integer

    def distribution(self, parameters: Tensor) -> Distribution:
        return product_over_cells(Poisson(2 + parameters.tanh(), validate_args=False))


class FlooredCounts(Counts):
    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        return super().log_prob(p, x, observed).clamp(min=-1e4)


class CodesOfThree(Likelihood):
    """Codes of three classes, of which the last stands for any other code."""

    parameters = ("logits",)
    support = constraints.nonnegative_integer

    def distribution(self, parameters: Tensor) -> Distribution:
        return product_over_cells(Codes(logits=parameters[:, None], validate_args=False))

    def point(self, p: Distribution) -> Tensor:
        return p.base_dist.logits.argmax(-1).float()

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        return super().sample(p, generator).float()


class Codes(Categorical):
    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value.clamp(max=2))


class CountsSuite(LikelihoodContract):
    event_shape = (1,)
    family: type[Likelihood] = Counts

    def make_likelihood(self) -> Likelihood:
        return self.family()

    def enumerate_support(self) -> Tensor:
        return torch.arange(40.0)[:, None]


class CodesSuite(LikelihoodContract):
    event_shape = (1,)
    output_shape = (3,)

    def make_likelihood(self) -> Likelihood:
        return CodesOfThree()

    def enumerate_support(self) -> Tensor:
        return torch.arange(3.0)[:, None]


NO_FLOOR = "test_log_prob_has_no_floor"


def verdict(suite: LikelihoodContract) -> str:
    return next(v.state for v in verdicts(suite) if v.check == NO_FLOOR)


def test_a_floor_of_counts_is_found_and_codes_that_stand_for_others_are_none() -> None:
    suite = CountsSuite()
    assert verdict(suite) == "kept"
    assert verdict(CodesSuite()) == "kept"
    suite.family = FlooredCounts
    assert verdict(suite) == "broken"


class Heavy(LocationScaleLikelihood):
    """Tails so heavy that no integral over a grid is near 1: ν = 1/10."""

    def density(self, location: Tensor, scale: Tensor) -> Distribution:
        return StudentT(0.1, location, scale, validate_args=False)


class Mixed(LocationScaleLikelihood):
    """A narrow component and a rare one that is a million times as wide."""

    def density(self, location: Tensor, scale: Tensor) -> Distribution:
        both = Normal(location[..., None], scale[..., None] * torch.tensor([1.0, 1e6]))
        return MixtureSameFamily(
            Categorical(torch.tensor([0.999, 0.001]).expand_as(both.loc)), both
        )


class Angles(Likelihood):
    """Angles, which torch says to be any real numbers."""

    parameters = ("location",)
    support = constraints.real

    def distribution(self, parameters: Tensor) -> Distribution:
        spread = torch.full_like(parameters, 0.7)
        return product_over_cells(VonMises(parameters, spread, validate_args=False))

    def point(self, p: Distribution) -> Tensor:
        return p.base_dist.loc


@pytest.mark.parametrize("family", [Heavy(), Mixed(), Angles()], ids=lambda f: type(f).__name__)
def test_heavy_tails_wide_components_and_angles_have_no_floor(family: Likelihood) -> None:
    class Suite(LikelihoodContract):
        event_shape = (1,)

        def make_likelihood(self) -> Likelihood:
            return family

    Suite().test_log_prob_has_no_floor()


# -- links and closed forms -----------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(-1e30, 1e30), st.booleans())
def test_a_scale_is_finite_and_no_less_than_its_floor(raw: float, squared: bool) -> None:
    floor = 1e-3
    scale = SoftplusScale(floor, squared)(torch.tensor(raw))
    least = math.sqrt(floor) if squared else floor
    assert scale.isfinite()
    assert scale >= least * (1 - 1e-6)
    assert (scale * scale).isfinite()


def test_a_squared_link_gives_the_variance() -> None:
    raw = torch.linspace(-3, 3, 7)
    assert_close(SoftplusScale(0.1, squared=True)(raw).square(), SoftplusScale(0.1)(raw))


def test_a_shared_scale_is_of_every_cell() -> None:
    family, location = GaussianLikelihood(SoftplusScale(0.1)), torch.randn(3, 1, 2, 2)
    shared, each = torch.zeros(3, 1, 1, 1), torch.zeros(3, 1, 2, 2)
    p, q = (family.distribution({"location": location, "raw_scale": r}) for r in (shared, each))
    assert_close(p.log_prob(location + 1), q.log_prob(location + 1))


def test_densities_have_their_closed_forms() -> None:
    x, location = torch.tensor([[1.5]]), torch.tensor([[0.5]])
    expected = {
        GaussianLikelihood(2.0): -0.5 * 0.25 - math.log(2 * math.sqrt(2 * math.pi)),
        LaplaceLikelihood(2.0): -0.5 - math.log(4.0),
        StudentTLikelihood(2.0, 1.0): -math.log(math.pi * 2 * 1.25),  # Cauchy
    }
    for family, nats in expected.items():
        p = family.distribution(location)
        assert family.log_prob(p, x).item() == pytest.approx(nats, rel=1e-6)
        assert family.point(p).item() == 0.5


@pytest.mark.parametrize("freedom", [0.5, 1.0, 4.0, 1e3, 1e5, 0.99e6, 1.01e6, 1e7, 1e9, 1e30])
def test_a_student_t_of_any_freedom_has_its_density(freedom: float) -> None:
    """Exact by SciPy in float64; a Gaussian in the limit of many degrees of freedom."""
    x = torch.tensor([[-3.0], [0.0], [0.7], [20.0]])
    family = StudentTLikelihood(2.0, freedom)
    nats = family.log_prob(family.distribution(torch.full_like(x, 0.2)), x)
    expected = (
        stats.t.logpdf(x.double().numpy(), freedom, 0.2, 2.0)
        if freedom < 1e9
        else stats.norm.logpdf(x.double().numpy(), 0.2, 2.0)
    )
    assert_close(nats.double(), torch.from_numpy(expected)[:, 0], rtol=1e-5, atol=1e-5)


def test_a_fast_sum_of_bernoulli_cells_equals_the_sum_of_terms() -> None:
    family = BernoulliLikelihood()
    p = family.distribution(torch.randn(5, 2, 3, 3))
    x = torch.randint(0, 2, (5, 2, 3, 3)).float()
    everything = torch.ones_like(x, dtype=torch.bool)
    assert_close(family.log_prob(p, x), family.log_prob(p, x, everything))


def test_an_output_is_split_along_its_channels() -> None:
    family, output = GaussianLikelihood(SoftplusScale(0.1)), torch.randn(2, 6, 4, 4)
    parts = family.split(output)
    assert list(parts) == ["location", "raw_scale"]
    assert torch.equal(torch.cat(list(parts.values()), 1), output)
    assert GaussianLikelihood(1.0).split(output) is output
