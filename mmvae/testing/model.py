"""The conformance suite for models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any, ClassVar

import torch
from torch.distributions import Distribution

from mmvae.data.batches import Batch
from mmvae.evaluation.bounds import iw_bound
from mmvae.models.protocol import Model, ModelConfig
from mmvae.posteriors import Posterior
from mmvae.randomness import StepDraws, seeded_global
from mmvae.subsets import Subset, subset_name
from mmvae.testing import standin
from mmvae.testing.contract import Contract, not_tried, require, require_config

MODALITIES = ("a", "b")
"""What the suite calls the two stand-in modalities; keys of the model may name them."""

_N, _K = 32, 16


class ModelContract(Contract):
    """Checks that a model keeps the contract of :class:`mmvae.Model`.

    Set :attr:`model`, and :attr:`keys` where its keys have no defaults or ask for wide layers.
    """

    model: ClassVar[type[Model] | None] = None
    """The class under test; unless :meth:`make_model` makes one."""

    keys: ClassVar[Mapping[str, Any]] = {}
    """Keys of ``[model]``; the modalities are :data:`MODALITIES`."""

    def make_config(self) -> ModelConfig:
        """Its config."""
        if self.model is None:
            raise NotImplementedError("Set model, or define make_model(self) -> Model.")
        known = {"modalities": list(MODALITIES)}
        return self.model.Config.model_validate(dict(self.keys), context=known)

    def make_model(self) -> Model:
        """A fresh model of the modalities ``a`` and ``b``, with the same weights at every call."""
        config = self.make_config()
        assert self.model is not None  # make_config sees to it
        with seeded_global(0):
            return self.model(config, standin.codecs(*MODALITIES))

    def test_declarations(self) -> None:
        """Kind, config class, latent dimensions and decoded modalities."""
        model = self.make_model()
        require(isinstance(model, Model), "a subclass of mmvae.Model", type(model).__mro__)
        require(bool(getattr(model, "kind", "")), "a kind, the word used in TOML", "none")
        require(issubclass(model.Config, ModelConfig), "a Config of ModelConfig", model.Config)
        require(model.latent_dim > 0, "latent_dim > 0", model.latent_dim)
        known = bool(model.decoded) and set(model.decoded) <= set(MODALITIES)
        require(known, f"decoded modalities among {MODALITIES}", model.decoded)

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys go through TOML unchanged, are described, and unknown ones are refused."""
        require_config(self.make_model().config)

    def test_distributions_have_their_shapes(self) -> None:
        """Posterior, prior and likelihoods of complete items."""
        model, items = self.make_model(), standin.batch(_N, *MODALITIES)
        given = _conditions(model, items)
        shape = (_N, model.latent_dim)
        noise = torch.randn(_K, *shape, generator=torch.Generator().manual_seed(0))
        found = {"posterior": model.posterior(items.x), "prior": model.prior(given, _N)}
        for name, q in found.items():
            require(isinstance(q, Posterior), f"a {name} that is a mmvae.Posterior", type(q))
            z = q.rsample(noise)
            require(z.shape == noise.shape, f"{name} samples {tuple(noise.shape)}", z.shape)
            nats = q.log_prob(z)
            require(nats.shape == (_K, _N), f"{name} log_prob ({_K}, {_N})", tuple(nats.shape))
            require(bool(nats.isfinite().all()), f"a finite {name} log_prob", "NaN or infinity")
            require(q.point().shape == shape, f"{name} point {shape}", tuple(q.point().shape))
        z = found["posterior"].point()
        for m in model.decoded:
            likelihood = model.likelihood(m, z, given)
            wants = f"a Distribution of {m} with batch shape ({_N},)"
            kept = isinstance(likelihood, Distribution) and likelihood.batch_shape == (_N,)
            require(kept, wants, likelihood)
            nats = model.log_likelihood(m, z, items.x[m], None, given)
            require(nats.shape == (_N,), f"log p({m}|z) of shape ({_N},)", tuple(nats.shape))

    def test_samples_follow_the_noise(self) -> None:
        """A posterior's samples are a function of the noise alone, and carry gradients."""
        model, items = self.make_model(), standin.batch(_N, *MODALITIES)
        noise = torch.randn(_N, model.latent_dim, generator=torch.Generator().manual_seed(0))
        q = model.posterior(items.x)
        z = q.rsample(noise)
        require(torch.equal(z, q.rsample(noise)), "the same samples of the same noise", "others")
        require(not torch.equal(z, q.rsample(-noise)), "other samples of other noise", "the same")
        require(z.requires_grad, "samples with gradients (reparameterised)", "detached ones")
        held = q.detach().rsample(noise)
        require(not held.requires_grad, "detach() to hold it fixed for gradients", "gradients")

    def test_phases_are_complete_and_apart(self) -> None:
        """Each trained parameter belongs to one phase, whose loss reaches it."""
        model, items = self.make_model(), standin.batch(_N, *MODALITIES)
        named = {p: name for name, p in model.named_parameters() if p.requires_grad}
        phases = model.phases()
        names = [phase.name for phase in phases]
        require(bool(names) and len(set(names)) == len(names), "phases of different names", names)
        owners = [p for phase in phases for p in phase.parameters]
        lacking = sorted(name for p, name in named.items() if not any(p is o for o in owners))
        require(not lacking, "every trained parameter in a phase", f"none has {lacking}")
        require(len({id(p) for p in owners}) == len(owners), "each parameter once", "repeats")
        for phase in phases:
            model.zero_grad()
            draws = StepDraws(0, "train", 0, slice(0, _N), _N)
            terms = model.objective(phase.name, items, draws, 1.0)
            for name, nats in {"loss": terms.loss, **terms.named}.items():
                kept = nats.shape == (_N,) and bool(nats.isfinite().all())
                wants = f"{phase.name}: finite {name} of shape ({_N},)"
                require(kept, wants, f"shape {tuple(nats.shape)}: {nats}")
            terms.loss.mean().backward()  # type: ignore[no-untyped-call]
            unmoved = [named[p] for p in phase.parameters if p.grad is None and p in named]
            wants = f"{phase.name}: a gradient for each parameter (or skips_weights)"
            require(not unmoved or model.skips_weights, wants, f"none in {unmoved}")

    def test_the_objective_follows_its_draws(self) -> None:
        """The same draws give the same loss, whatever the global random state."""
        model, items = self.make_model(), standin.batch(_N, *MODALITIES)
        for phase in model.phases():
            losses = []
            for seed in (1, 2):
                draws = StepDraws(0, "train", 0, slice(0, _N), _N)
                with seeded_global(seed):
                    losses.append(model.objective(phase.name, items, draws, 1.0).loss)
            wants = f"{phase.name}: a loss that is a function of its draws"
            require(torch.equal(*losses), wants, "global randomness")

    def test_gaps_touch_every_weight(self) -> None:
        """Finite losses of items with gaps; a gradient for all, whatever a batch lacks."""
        whole = self.make_model()
        if not whole.takes_gaps:
            not_tried("it declares takes_gaps = False")
        model = type(whole)(whole.config, standin.codecs(*MODALITIES, gaps=True))
        model.learn_patterns({MODALITIES[:1]: 1, MODALITIES[1:]: 1, MODALITIES: 2})
        has, lacks = torch.ones(_N, dtype=torch.bool), torch.zeros(_N, dtype=torch.bool)
        half, (a, b) = torch.arange(_N) % 2 == 0, MODALITIES
        batches = {
            "mixed patterns": {a: half, b: ~half | (torch.arange(_N) < 4)},
            f"no {b} at all": {a: has, b: lacks},
        }
        for name, present in batches.items():
            items = standin.gappy(_N, present)
            for phase in model.phases():
                model.zero_grad()
                draws = StepDraws(0, "train", 0, slice(0, _N), _N)
                loss = model.objective(phase.name, items, draws, 1.0).loss
                require(bool(loss.isfinite().all()), f"{name}: a finite loss", loss)
                loss.mean().backward()  # type: ignore[no-untyped-call]
                unmoved = sum(p.grad is None for p in phase.parameters)
                wants = f"{name}: a gradient, perhaps 0, for each parameter (or skips_weights)"
                require(not unmoved or model.skips_weights, wants, f"none for {unmoved}")

    def test_supports_answers_for_every_figure(self) -> None:
        """None or a reason for each T, G, P; what it supports can be had."""
        model, items = self.make_model(), standin.batch(_N, *MODALITIES)
        supported = 0
        for targets, given, proposal in _figures(model.decoded):
            figure = f"log p({subset_name(targets)} | {subset_name(given)}) by {proposal}"
            reason = model.supports(targets, given, proposal)
            answer = reason is None or (isinstance(reason, str) and bool(reason))
            require(answer, f"None or a reason for {figure}", repr(reason))
            if reason is None and (model.conditional or not given):
                bound = _bound(model, items, targets, given, proposal, 2)
                require(bool(bound.isfinite().all()), f"a finite {figure}", bound)
                supported += 1
        require(supported > 0, "a figure that it supports", "none")

    def test_the_bound_rises_with_samples(self) -> None:
        """Importance weighting with more samples is no worse on average (T10)."""
        model, items = self.make_model(), standin.batch(_N, *MODALITIES)
        for targets, given, proposal in _figures(model.decoded):
            native = model.conditional or not given
            if native and model.supports(targets, given, proposal) is None:
                one, many = (
                    _bound(model, items, targets, given, proposal, k).mean() for k in (1, 64)
                )
                wants = f"a bound of {subset_name(targets)} that rises from k = 1 to 64"
                require(bool(many > one), wants, f"{one:.4g}, then {many:.4g}")


def _conditions(model: Model, items: Batch) -> dict[str, torch.Tensor]:
    """What a conditional model is given; nothing for the others."""
    if not model.conditional:
        return {}
    return {m: x for m, x in items.x.items() if m not in model.decoded}


def _bound(
    model: Model, items: Batch, targets: Subset, given: Subset, proposal: Subset, k: int
) -> torch.Tensor:
    draws = StepDraws(0, "test", 0, slice(0, _N), _N)
    return iw_bound(model, items, targets, proposal, k, draws, given)


def _figures(decoded: Subset) -> Iterator[tuple[Subset, Subset, Subset]]:
    """Every T of what is decoded, G apart from it, and P."""
    subsets = [s for n in range(len(MODALITIES) + 1) for s in combinations(MODALITIES, n)]
    for targets, given, proposal in product(subsets, repeat=3):
        apart = not set(targets) & set(given)
        if targets and proposal and apart and set(targets) <= set(decoded):
            yield targets, given, proposal
