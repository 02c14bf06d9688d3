"""Checks of a trainable, a model or an extension around one: phases, draws, missing modalities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.foundations.randomness import StepDraws, seeded_global
from mmvae.models.phase import Phase, Terms
from mmvae.models.trainable import Trainable
from mmvae.testing.contract import not_tried, require
from mmvae.testing.stage import MODALITIES
from mmvae.testing.suite import Suite
from mmvae.training.step import alone

N = 32
"""Items in a batch."""


class PhaseChecks(Suite):
    """Requirements of the training loop on a model, and on an extension around one."""

    on_stage = True

    def make_trained(self, gaps: bool = False) -> Trainable:
        """A new one, with the same weights at every call; for missing modalities if requested."""
        raise NotImplementedError

    def make_batch(self, present: Mapping[str, Tensor] | None = None) -> Batch:
        """N items that have both modalities, or the present ones: bool (N,)."""
        raise NotImplementedError

    def test_phases_are_complete_and_apart(self) -> None:
        """Each trained parameter belongs to one phase, whose loss gives it a gradient."""
        trained = self.make_trained()
        named = {p: name for name, p in trained.named_parameters() if p.requires_grad}
        phases = trained.phases()
        names = [phase.name for phase in phases]
        require(bool(names) and len(set(names)) == len(names), "phases of different names", names)
        owners = [p for phase in phases for p in phase.parameters]
        lacking = sorted(name for p, name in named.items() if not any(p is o for o in owners))
        require(not lacking, "every trained parameter in a phase", f"none has {lacking}")
        require(len({id(p) for p in owners}) == len(owners), "each parameter once", "repeats")
        for phase, terms in _updated(trained, self.make_batch()):
            for name, nats in {"loss": terms.loss, **terms.named}.items():
                kept = nats.shape == (N,) and bool(nats.isfinite().all())
                wants = f"{phase.name}: finite {name} of shape ({N},)"
                require(kept, wants, f"shape {tuple(nats.shape)}: {nats}")
            terms.loss.mean().backward()  # type: ignore[no-untyped-call]
            unmoved = [named[p] for p in phase.parameters if p.grad is None and p in named]
            wants = f"{phase.name}: a gradient for each parameter (or skips_weights)"
            require(not unmoved or trained.skips_weights, wants, f"none in {unmoved}")

    def test_the_objective_follows_its_draws(self) -> None:
        """The same random draws give the same loss, for any global random state."""
        losses = []
        for seed in (1, 2):
            with seeded_global(seed):
                pairs = list(_updated(self.make_trained(), self.make_batch()))
            losses.append({phase.name: terms.loss for phase, terms in pairs})
        for name, loss in losses[0].items():
            wants = f"{name}: a loss that is a function of its draws"
            require(torch.equal(loss, losses[1][name]), wants, "global randomness")

    def test_gaps_touch_every_weight(self) -> None:
        """Losses with missing modalities are finite, and every weight gets a gradient."""
        if not self.make_trained().takes_missing:
            not_tried("it declares takes_missing = False")
        trained = self.make_trained(gaps=True)
        trained.bare.learn_patterns({MODALITIES[:1]: 1, MODALITIES[1:]: 1, MODALITIES: 2})
        has, lacks = torch.ones(N, dtype=torch.bool), torch.zeros(N, dtype=torch.bool)
        half, (a, b) = torch.arange(N) % 2 == 0, MODALITIES
        batches = {
            "mixed patterns": {a: half, b: ~half | (torch.arange(N) < 4)},
            f"no {b} at all": {a: has, b: lacks},
        }
        for name, present in batches.items():
            for phase, terms in _updated(trained, self.make_batch(present)):
                require(bool(terms.loss.isfinite().all()), f"{name}: a finite loss", terms.loss)
                terms.loss.mean().backward()  # type: ignore[no-untyped-call]
                unmoved = sum(p.grad is None for p in phase.parameters)
                wants = f"{name}: a gradient, perhaps 0, for each parameter (or skips_weights)"
                require(not unmoved or trained.skips_weights, wants, f"none for {unmoved}")


def _updated(trained: Trainable, batch: Batch) -> Iterator[tuple[Phase, Terms]]:
    """The phases of a step in turn, each with its terms while all others are held fixed."""
    phases = trained.phases()
    trained.begin_step(max(phase.first_epoch for phase in phases))
    for phase in phases:
        trained.zero_grad()
        draws = StepDraws(0, "train", 0, slice(0, N), N)
        with alone(phase, phases):
            yield phase, trained.objective(phase.name, batch, draws, 1.0)
