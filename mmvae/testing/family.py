"""The conformance suite for families of distributions over z."""

from __future__ import annotations

from typing import ClassVar

import safetensors.torch
import torch
from torch import Tensor, nn

from mmvae.foundations.randomness import seeded_global
from mmvae.models.families import Family
from mmvae.models.posteriors import Posterior
from mmvae.testing.contract import needs, not_tried, require, require_config, require_offer
from mmvae.testing.goodness import DEVIATIONS
from mmvae.testing.points import ITEMS, REACHES, SEPARATED, SHARE, SHIFTS
from mmvae.testing.suite import Suite

SEEN, LATENT = 3, 2
"""Width of the tested head's context, and dimensions of z: few, so that a grid covers them."""

REACH, POINTS = 10.0, 321
"""The grid on which densities are integrated, ± REACH in each dimension."""

_N, _K, _MANY = 5, 4, 10_000


class FamilyContract(Suite):
    """Checks that a family keeps the contract of :class:`mmvae.Family`.

    Set :attr:`family`, and :attr:`keys` where its keys have no defaults or ask for large networks.
    """

    role = "family"

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_distributions_have_their_shapes",
    )

    family: ClassVar[type[Family] | None] = None
    """The class under test."""

    def make_family(self) -> Family:
        """A family as a config would make it."""
        family: Family = self.under_test()(self.make_config())
        return family

    def head(self, seen: int = SEEN, latent: int = LATENT) -> nn.Module:
        """A fresh head, with the same weights at every call."""
        with seeded_global(0):
            return self.make_family().head(seen, latent)

    def test_declarations(self) -> None:
        """The family has a kind and a config class."""
        family = self.make_family()
        require_offer("family", type(family))

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_family().config)

    def test_distributions_have_their_shapes(self) -> None:
        """Samples, densities and points of posteriors and of a prior have their shapes."""
        cases = {"(b, c)": (_N, SEEN), "(n, b, c)": (2, _N, SEEN), "(b, 0), a prior": (_N, 0)}
        for name, shape in cases.items():
            q = self.head(shape[-1])(normal(*shape))
            where = f"of a context {name}"
            require(isinstance(q, Posterior), f"a mmvae.Posterior {where}", type(q))
            batch = shape[:-1]
            for lead in ((), (_K,)) if len(batch) == 1 else ((),):
                noise = normal(*lead, *batch, LATENT)
                z = q.rsample(noise)
                require(z.shape == noise.shape, f"samples {tuple(noise.shape)} {where}", z.shape)
                nats = q.log_prob(z)
                wants = f"log_prob of shape {(*lead, *batch)} {where}"
                require(nats.shape == (*lead, *batch), wants, tuple(nats.shape))
                finite = bool(nats.isfinite().all() and z.isfinite().all())
                require(finite, f"finite samples and log_prob {where}", "NaN or infinity")
            point = q.point()
            require(point.shape == (*batch, LATENT), f"a point {(*batch, LATENT)} {where}", point)

    def test_total_probability_is_one(self) -> None:
        """The density integrates to 1 over a grid in one dimension and in two."""
        for latent in (1, 2):
            density, _, volume = self._on_grid(latent)
            total = float(density.sum()) * volume
            wants = f"a total probability of 1 in {latent} dimensions (within 0.01)"
            require(abs(total - 1) < 0.01, wants, f"{total:.4g}")

    def test_samples_follow_the_density(self) -> None:
        """Means and second moments of samples match those of the density."""
        density, grid, volume = self._on_grid(2)
        q = self.head(latent=2)(normal(1, SEEN))
        z = q.rsample(normal(_MANY, 1, 2)).squeeze(1).detach().double()
        powers = {"mean": 1, "second moment": 2}
        for name, power in powers.items():
            by_density = (density.unsqueeze(-1) * grid.double() ** power).sum(0) * volume
            values = z**power
            error = values.std(0) / _MANY**0.5
            close = bool(((values.mean(0) - by_density).abs() < 5 * error + 0.02).all())
            found = values.mean(0).tolist()
            require(close, f"a {name} of {by_density.tolist()}, by the density", found)

    def test_samples_follow_the_noise(self) -> None:
        """A sample is a function of the noise only, and has gradients."""
        q, noise = self.head()(normal(_N, SEEN)), normal(_N, LATENT)
        with seeded_global(1):
            z = q.rsample(noise)
        with seeded_global(2):
            again = q.rsample(noise)
        require(torch.equal(z, again), "the same samples of the same noise", "others")
        require(not torch.equal(z, q.rsample(-noise)), "other samples of other noise", "the same")
        require(z.requires_grad, "samples with gradients", "detached ones")
        frozen = q.detach()
        fixed = frozen.rsample(noise).requires_grad or frozen.log_prob(noise).requires_grad
        require(not fixed, "detach() to hold it fixed for gradients", "gradients")

    @needs("test_total_probability_is_one", "test_samples_follow_the_density")
    @torch.no_grad()
    def test_points_follow_the_context(self) -> None:
        """A point estimate is nearly as likely as a sample and depends on the context.

        As in :class:`mmvae.testing.points.PointChecks`, of contexts that are well separated.
        """
        head, tried = self.head(), 0
        for reach in REACHES:
            context = reach * normal(ITEMS, SEEN)
            q = head(context)
            z = q.rsample(normal(ITEMS, LATENT))
            own = q.log_prob(z)
            others = torch.stack([head(context.roll(k, 0)).log_prob(z) for k in SHIFTS]).mean(0)
            apart, error = float((own - others).mean()), float(own.std()) / ITEMS**0.5
            if not apart > SEPARATED:  # NaN is not
                continue
            tried += 1
            lacks = float((own - q.log_prob(q.point())).mean())
            wants = "a point that is nearly as likely as a sample: less likely by at most "
            wants += f"{SHARE:.0%} of {apart:.3g} nats, the distance to samples of other contexts"
            enough = lacks - DEVIATIONS * error <= SHARE * apart
            require(
                enough, wants, f"{lacks / apart:.0%}", "Compute it from the output of the head."
            )
        if not tried:
            not_tried("new heads return nearly the same distribution for every context")

    def test_gradients_reach_every_parameter(self) -> None:
        """Every weight gets a gradient from log q(z), in posteriors and in a prior."""
        for seen in (SEEN, 0):
            head = self.head(seen)
            head(normal(_MANY // 100, seen)).log_prob(
                normal(_MANY // 100, LATENT)
            ).sum().backward()
            idle = [
                name
                for name, p in head.named_parameters()
                if p.requires_grad and (p.grad is None or not p.grad.any())
            ]
            what = f"a gradient for each parameter of a head that sees {seen} features"
            require(not idle, what, f"none in {', '.join(idle)}")

    def test_items_do_not_mix(self) -> None:
        """An item's result depends only on its own context."""
        head, context, z = self.head(), normal(_N, SEEN), normal(_N, LATENT)
        together = head(context).log_prob(z)
        alone = torch.cat([head(context[i : i + 1]).log_prob(z[i : i + 1]) for i in range(_N)])
        close = torch.allclose(together, alone, rtol=1e-4, atol=1e-4)
        require(close, "the same log_prob alone and in a batch", f"{alone} and {together}")

    def test_autocast_leaves_float32(self) -> None:
        """Samples and densities are at least float32 under bfloat16 autocast."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            q = self.head()(normal(_N, SEEN).bfloat16())
            z = q.rsample(normal(_N, LATENT))
            found = {"samples": z, "log_prob": q.log_prob(z), "point": q.point()}
        for name, value in found.items():
            require(value.dtype == torch.float32, f"{name} in float32", value.dtype)
            require(bool(value.isfinite().all()), f"finite {name}", "NaN or infinity")

    def test_weights_survive_saving(self) -> None:
        """Saved and loaded weights give the same numbers."""
        first = self.head()
        with seeded_global(1):
            second = self.make_family().head(SEEN, LATENT)
        saved = safetensors.torch.save({k: v.contiguous() for k, v in first.state_dict().items()})
        second.load_state_dict(safetensors.torch.load(saved))
        context, z = normal(_N, SEEN), normal(_N, LATENT)
        same = torch.equal(first(context).log_prob(z), second(context).log_prob(z))
        require(same, "the same log_prob after saving and loading", "another")

    @torch.no_grad()
    def _on_grid(self, latent: int) -> tuple[Tensor, Tensor, float]:
        """Density of one posterior at the points of a grid, the points, and a cell's volume."""
        axis = torch.linspace(-REACH, REACH, POINTS)
        grid = torch.cartesian_prod(*[axis] * latent).view(-1, latent)
        nats = self.head(latent=latent)(normal(1, SEEN)).log_prob(grid.unsqueeze(1)).squeeze(1)
        return nats.double().exp(), grid, (2 * REACH / (POINTS - 1)) ** latent


def normal(*shape: int) -> Tensor:
    """Standard normal numbers, the same for a shape at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))
