"""The conformance suite for likelihoods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.modalities.likelihoods.likelihood import Likelihood, Parameters
from mmvae.testing.contract import Contract, needs, not_tried, require
from mmvae.testing.goodness import Density, ends
from mmvae.testing.gradients import agrees
from mmvae.testing.subject import flat, generator, global_seed, of_rows
from mmvae.testing.tails import has_no_floor

N, SAMPLES = 6, 4000
"""Items per check, and draws that are compared with a density."""

EXTREME = (0.0, 1e-6, 30.0, 300.0, 1e4)
"""Sizes of parameters, of both signs, with which log p and its gradients must be finite."""

TOLERANCE = 1e-3
"""Tolerance of a total probability."""


@dataclass(frozen=True)
class _Codec:
    """A likelihood in the place of a codec."""

    family: Likelihood
    log_scale: None = None

    def likelihood(self, parameters: Parameters) -> Distribution:
        return self.family.distribution(parameters)

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        return self.family.log_prob(likelihood, x, observed)

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        return self.family.sample(likelihood, generator)


class LikelihoodContract(Contract):
    """Checks that a density keeps the contract of :class:`mmvae.Likelihood`.

    Define :meth:`make_likelihood`; and for a countable x :meth:`enumerate_support`, for a real one
    :meth:`integration_grid`.
    """

    event_shape: ClassVar[tuple[int, ...]] = (2,)
    """Shape of one item in the checks: few cells, so that their values can be enumerated."""

    output_shape: ClassVar[tuple[int, ...] | None] = None
    """Shape of each parameter of one item; the event shape unless given."""

    foundations: ClassVar[tuple[str, ...]] = (
        "test_the_distribution_has_the_event_shape",
        "test_randomness_comes_from_the_generator",
    )

    def make_likelihood(self) -> Likelihood:
        """The likelihood under test."""
        raise NotImplementedError("Define make_likelihood(self) -> Likelihood.")

    def enumerate_support(self) -> Tensor | None:
        """All values (k, event…) of a countable x, if they are few; default: None."""
        return None

    def integration_grid(self) -> tuple[Tensor, float] | None:
        """Values (k, event…) that cover a real x at equal distances, and a cell's volume."""
        return None

    def parameters(self, n: int, size: float = 1.0) -> Parameters:
        """Parameters of n items, as a decoder puts them out: normal numbers times ``size``."""
        family = self.make_likelihood()
        shape = self.output_shape or self.event_shape
        wide = (n, len(family.parameters) * shape[0], *shape[1:])
        return family.split(size * torch.randn(wide, generator=generator()))

    def values(self, family: Likelihood) -> Tensor:
        """Values (N, event…) in the support: draws."""
        return family.sample(family.distribution(self.parameters(N)), generator()).detach()

    def test_the_distribution_has_the_event_shape(self) -> None:
        """Batch shape (b,), event shape of one item; log p, point and sample have these shapes."""
        family = self.make_likelihood()
        p = family.distribution(self.parameters(N))
        require(tuple(p.batch_shape) == (N,), f"batch shape ({N},)", tuple(p.batch_shape))
        event = tuple(p.event_shape)
        require(event == self.event_shape, f"event shape {self.event_shape}", event)
        x = family.sample(p, generator())
        numbers = {"sample": (x, (N, *event)), "point": (family.point(p), (N, *event))}
        numbers["log_prob"] = (family.log_prob(p, x), (N,))
        for name, (value, shape) in numbers.items():
            found = (value.dtype, tuple(value.shape))
            require(found == (torch.float32, shape), f"{name} in float32, {shape}", found)

    def test_randomness_comes_from_the_generator(self) -> None:
        """Samples depend on the generator only; the global random state stays unused."""
        family = self.make_likelihood()
        p, draws = family.distribution(self.parameters(N)), []
        for seed in (1, 2):
            with global_seed(seed) as untouched:
                draws.append(family.sample(p, generator()))
                require(untouched(), "sample to leave global random states alone", "a draw")
        require(torch.equal(*draws), "the same draws of the same generator", "others")

    def test_total_probability_is_one(self) -> None:
        """The density sums to 1 over a countable support, or integrates to 1 over a grid."""
        support, grid = self.enumerate_support(), self.integration_grid()
        if support is None and grid is None:
            not_tried("define enumerate_support or integration_grid")
        for values, volume in ((support, 1.0), grid or (None, 1.0)):
            if values is not None:
                total = float(self._density().mass(values).sum()) * volume
                wants = f"a total probability of 1 (within {TOLERANCE})"
                require(abs(total - 1) < TOLERANCE, wants, f"{total:.6g}")

    @needs("test_total_probability_is_one")
    def test_samples_follow_the_density(self) -> None:
        """The frequencies of samples match log_prob."""
        support, grid, density = self.enumerate_support(), self.integration_grid(), self._density()
        drawn = density.sample(SAMPLES)
        if support is not None:
            density.fits_support(drawn, support)
        if grid is not None:
            density.fits_grid(drawn, grid[0])
        if support is None and grid is None:
            density.fits_cells(drawn)

    @needs("test_total_probability_is_one", "test_samples_and_points_lie_in_the_support")
    def test_log_prob_has_no_floor(self) -> None:
        """Log p is not constant far beyond all draws, as far as the support reaches."""
        family, density = self.make_likelihood(), self._density()
        known = self.enumerate_support()
        has_no_floor(density, density.sample(1), lambda x: _inside(family, x), known)

    def test_samples_and_points_lie_in_the_support(self) -> None:
        """Samples are in ``support``; the point is between its ends, with positive density."""
        family = self.make_likelihood()
        p = family.distribution(self.parameters(N))
        x, point = family.sample(p, generator()), family.point(p)
        require(_inside(family, x), f"draws in {family.support}", x)
        nats = family.log_prob(p, point)
        require(bool((nats > -math.inf).all()), f"point {point} of positive density", nats)
        for low, high in ends(family.support):
            within = bool(((point >= low) & (point <= high)).all())
            require(within, f"point between {low} and {high}, the ends of the support", point)

    def test_points_follow_the_parameters(self) -> None:
        """Items with different parameters have different points; its own point is likelier."""
        family = self.make_likelihood()
        p = family.distribution(self.parameters(N, 3.0))
        own = family.point(p)
        other = family.point(family.distribution(of_rows(self.parameters(N, 3.0), _turned())))
        require(not torch.equal(own, other), "points that depend on the parameters", "a constant")
        gain = float((family.log_prob(p, own) - family.log_prob(p, other)).mean())
        require(gain > 0, "an item's own point to be likelier than another's", f"{gain:.3g} nats")

    def test_extreme_parameters_stay_finite(self) -> None:
        """Log p, its gradients and the point are finite for any output of a decoder."""
        family = self.make_likelihood()
        x = self.values(family)
        for size in EXTREME:
            raw = self.parameters(N, size)
            leaves = list(raw.values()) if isinstance(raw, dict) else [raw]
            leaves = [leaf.detach().requires_grad_() for leaf in leaves]
            named = dict(zip(raw, leaves, strict=True)) if isinstance(raw, dict) else leaves[0]
            p = family.distribution(named)
            nats = family.log_prob(p, x)
            found = {"log_prob": nats, "point": family.point(p)}
            found["gradients"] = torch.cat(
                [g.flatten() for g in torch.autograd.grad(nats.sum(), leaves)]
            )
            for name, value in found.items():
                finite = bool(value.isfinite().all())
                require(finite, f"finite {name} with parameters of size {size:g}", value)

    def test_edges_of_the_support_have_gradients(self) -> None:
        """Gradients are finite where x is at the ends of the support."""
        family = self.make_likelihood()
        edges = [e.round() for pair in ends(family.support) for e in pair if bool(e.isfinite())]
        x = self.values(family)
        for edge in [x, *(torch.full_like(x, float(e)) for e in edges)]:
            if not _inside(family, edge):
                continue
            raw = self.parameters(N)
            leaves = list(raw.values()) if isinstance(raw, dict) else [raw]
            for leaf in leaves:
                leaf.requires_grad_()
            nats = family.log_prob(family.distribution(raw), edge)
            require(bool(nats.isfinite().all()), f"a finite log_prob at {edge[0]}", nats)
            for grad in torch.autograd.grad(nats.sum(), leaves):
                require(bool(grad.isfinite().all()), f"finite gradients at {edge[0]}", grad)

    def test_gradients_are_those_of_log_prob(self) -> None:
        """The gradient of log p in the parameters agrees with finite differences."""
        family = self.make_likelihood()
        x = self.values(family)

        def nats(raw: Parameters, dtype: torch.dtype) -> Tensor:
            return family.log_prob(family.distribution(raw), x.to(dtype), None)

        if not agrees(nats, self.parameters(N), ""):
            not_tried("finite differences of log_prob are not exact enough")

    def test_unobserved_cells_have_no_effect(self) -> None:
        """No observed cell gives 0, all cells the total; unobserved values have no effect."""
        family = self.make_likelihood()
        x, p = self.values(family), family.distribution(self.parameters(N))
        observed = torch.rand(x.shape, generator=generator()) < 0.5
        try:
            nats = family.log_prob(p, x, observed)
        except TypeError as refusal:
            not_tried(f"it refuses unobserved cells: {refusal}")
        changed = family.log_prob(p, torch.where(observed, x, x.flip(0)), observed)
        require(torch.equal(nats, changed), f"log_prob {nats} whatever is unobserved", changed)
        none = family.log_prob(p, x, torch.zeros_like(observed))
        require(not none.any(), "log_prob 0 if no cell is observed", none)
        whole, full = (family.log_prob(p, x, o) for o in (None, torch.ones_like(observed)))
        require(torch.allclose(whole, full), f"log_prob {whole} if all are observed", full)

    def test_items_do_not_mix(self) -> None:
        """An item's log p and point do not depend on the other items."""
        family, raw = self.make_likelihood(), self.parameters(N)
        x = self.values(family)
        together, alone = (
            family.distribution(of_rows(raw, rows)) for rows in (list(range(N)), [0])
        )
        pairs = {
            "log_prob": (family.log_prob(together, x), family.log_prob(alone, x[:1])),
            "point": (family.point(together), family.point(alone)),
        }
        for name, (first, second) in pairs.items():
            close = torch.allclose(first[0], second[0], rtol=1e-4, atol=1e-4)
            require(close, f"{name} {first[0]} alone as among others", second[0])

    def test_names_are_as_many_as_parameters(self) -> None:
        """A decoder's output is split into one tensor for each name."""
        family = self.make_likelihood()
        names = family.parameters
        require(bool(names) and len(set(names)) == len(names), "distinct names", names)
        raw = self.parameters(N)
        found = tuple(raw) if isinstance(raw, dict) else names[:1]
        require(found == names, f"parameters {names}", found)
        require(bool(flat(raw).isfinite().all()), "finite parameters", raw)

    def _density(self) -> Density:
        return Density(_Codec(self.make_likelihood()), of_rows(self.parameters(N), [0]))


def _inside(family: Likelihood, x: Tensor) -> bool:
    return bool(family.support.check(x).all())  # type: ignore[no-untyped-call]  # torch's own


def _turned() -> list[int]:
    return [(i + 1) % N for i in range(N)]
