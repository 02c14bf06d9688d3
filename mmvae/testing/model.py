"""The conformance suite for models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import ClassVar

import torch
from torch.distributions import Distribution

from mmvae.data.batches import Batch
from mmvae.evaluation.bounds import iw_bound
from mmvae.foundations.randomness import StepDraws, seeded_global
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.base import Model
from mmvae.models.posteriors import Posterior
from mmvae.testing import standin
from mmvae.testing.contract import require, require_config, require_offer
from mmvae.testing.phases import N, PhaseChecks
from mmvae.testing.stage import MODALITIES

_K = 16


class ModelContract(PhaseChecks):
    """Checks that a model keeps the contract of :class:`mmvae.Model`.

    Set :attr:`model`, and :attr:`keys` where its keys have no defaults or ask for wide layers.
    """

    role = "model"

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_distributions_have_their_shapes",
        "test_phases_are_complete_and_apart",
    )

    model: ClassVar[type[Model] | None] = None
    """The class under test; unless :meth:`make_model` makes one."""

    def make_model(self) -> Model:
        """A fresh model of the modalities ``a`` and ``b``, with the same weights at every call."""
        config = self.make_config()
        with seeded_global(0):
            model: Model = self.under_test()(config, standin.codecs(*MODALITIES))
        return model

    def make_trained(self, gaps: bool = False) -> Model:
        """The model; a new one for items with missing modalities if requested."""
        model = self.make_model()
        return type(model)(model.config, standin.codecs(*MODALITIES, gaps=True)) if gaps else model

    def make_batch(self, present: Mapping[str, torch.Tensor] | None = None) -> Batch:
        """Placeholder items."""
        return standin.incomplete(N, present) if present else standin.batch(N, *MODALITIES)

    def test_declarations(self) -> None:
        """The model has a kind, a config class, latent dimensions and decoded modalities."""
        model = self.make_model()
        require_offer("model", type(model))
        require(model.latent_dim > 0, "latent_dim > 0", model.latent_dim)
        known = bool(model.decoded) and set(model.decoded) <= set(MODALITIES)
        require(known, f"decoded modalities among {MODALITIES}", model.decoded)

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_model().config)

    def test_distributions_have_their_shapes(self) -> None:
        """Posterior, prior and likelihoods of complete items have their shapes."""
        model, items = self.make_model(), standin.batch(N, *MODALITIES)
        given = _conditions(model, items)
        shape = (N, model.latent_dim)
        noise = torch.randn(_K, *shape, generator=torch.Generator().manual_seed(0))
        found = {"posterior": model.posterior(items.x), "prior": model.prior(given, N)}
        for name, q in found.items():
            require(isinstance(q, Posterior), f"a {name} that is a mmvae.Posterior", type(q))
            z = q.rsample(noise)
            require(z.shape == noise.shape, f"{name} samples {tuple(noise.shape)}", z.shape)
            nats = q.log_prob(z)
            require(nats.shape == (_K, N), f"{name} log_prob ({_K}, {N})", tuple(nats.shape))
            require(bool(nats.isfinite().all()), f"a finite {name} log_prob", "NaN or infinity")
            require(q.point().shape == shape, f"{name} point {shape}", tuple(q.point().shape))
        z = found["posterior"].point()
        for m in model.decoded:
            likelihood = model.likelihood(m, z, given)
            wants = f"a Distribution of {m} with batch shape ({N},)"
            kept = isinstance(likelihood, Distribution) and likelihood.batch_shape == (N,)
            require(kept, wants, likelihood)
            nats = model.log_likelihood(m, z, items.x[m], None, given)
            require(nats.shape == (N,), f"log p({m}|z) of shape ({N},)", tuple(nats.shape))

    def test_samples_follow_the_noise(self) -> None:
        """A posterior's samples are a function of the noise only, and have gradients."""
        model, items = self.make_model(), standin.batch(N, *MODALITIES)
        noise = torch.randn(N, model.latent_dim, generator=torch.Generator().manual_seed(0))
        q = model.posterior(items.x)
        z = q.rsample(noise)
        require(torch.equal(z, q.rsample(noise)), "the same samples of the same noise", "others")
        require(not torch.equal(z, q.rsample(-noise)), "other samples of other noise", "the same")
        require(z.requires_grad, "samples with gradients (reparameterised)", "detached ones")
        fixed = q.detach().rsample(noise)
        require(not fixed.requires_grad, "detach() to hold it fixed for gradients", "gradients")

    def test_supports_answers_for_every_figure(self) -> None:
        """``supports`` returns None or a reason for T, G, P; supported queries can be computed."""
        model, items = self.make_model(), standin.batch(N, *MODALITIES)
        supported = 0
        for targets, given, proposal in _figures(model.decoded):
            query = f"log p({subset_name(targets)} | {subset_name(given)}) by {proposal}"
            reason = model.supports(targets, given, proposal)
            answer = reason is None or (isinstance(reason, str) and bool(reason))
            require(answer, f"None or a reason for {query}", repr(reason))
            if reason is None and (model.conditional or not given):
                bound = _bound(model, items, targets, given, proposal, 2)
                require(bool(bound.isfinite().all()), f"a finite {query}", bound)
                supported += 1
        require(supported > 0, "a likelihood that it supports", "none")

    def test_the_bound_rises_with_samples(self) -> None:
        """Importance weighting with more samples is no worse on average (T10)."""
        model, items = self.make_model(), standin.batch(N, *MODALITIES)
        for targets, given, proposal in _figures(model.decoded):
            native = model.conditional or not given
            if native and model.supports(targets, given, proposal) is None:
                one, many = (
                    _bound(model, items, targets, given, proposal, k).mean() for k in (1, 64)
                )
                wants = f"a bound of {subset_name(targets)} that rises from k = 1 to 64"
                require(bool(many > one), wants, f"{one:.4g}, then {many:.4g}")


def _conditions(model: Model, items: Batch) -> dict[str, torch.Tensor]:
    """The conditions of a conditional model; empty for the others."""
    if not model.conditional:
        return {}
    return {m: x for m, x in items.x.items() if m not in model.decoded}


def _bound(
    model: Model, items: Batch, targets: Subset, given: Subset, proposal: Subset, k: int
) -> torch.Tensor:
    draws = StepDraws(0, "test", 0, slice(0, N), N)
    return iw_bound(model, items, targets, proposal, k, draws, given)


def _figures(decoded: Subset) -> Iterator[tuple[Subset, Subset, Subset]]:
    """Every T of the decoded modalities, every G disjoint from it, and P."""
    subsets = [s for n in range(len(MODALITIES) + 1) for s in combinations(MODALITIES, n)]
    for targets, given, proposal in product(subsets, repeat=3):
        apart = not set(targets) & set(given)
        if targets and proposal and apart and set(targets) <= set(decoded):
            yield targets, given, proposal
