"""The conformance suite for extensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import safetensors.torch
import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.foundations.randomness import StepDraws, seeded_global
from mmvae.models.extension import Extension
from mmvae.models.trainable import Trainable
from mmvae.testing import stage
from mmvae.testing.contract import require, require_config, require_offer
from mmvae.testing.phases import N, PhaseChecks


class ExtensionContract(PhaseChecks):
    """Checks that an extension keeps the contract of :class:`mmvae.Extension`.

    Set :attr:`extension`, and :attr:`keys` if its keys have no defaults. It wraps a
    small JMVAE of the modalities ``a``, grey pictures, and ``b``, attributes of ±1; override
    :meth:`make_inner` and :meth:`make_batch` for others.
    """

    role = "extension"

    foundations: ClassVar[tuple[str, ...]] = (
        "test_declarations",
        "test_the_model_stays_what_it_was",
        "test_phases_are_complete_and_apart",
    )

    extension: ClassVar[type[Extension] | None] = None
    """The class under test."""

    def make_inner(self, gaps: bool = False) -> Trainable:
        """The wrapped model, with the same weights at every call."""
        return stage.model(gaps).train()

    def make_batch(self, present: Mapping[str, Tensor] | None = None) -> Batch:
        """N items that have both modalities, or the present ones: bool (N,)."""
        whole = stage.batch(N)
        return replace(whole, present=present) if present else whole

    def make_trained(self, gaps: bool = False) -> Extension:
        """The extension, with the same weights at every call."""
        return self._around(self.make_inner(gaps), 0)

    def _around(self, inner: Trainable, seed: int) -> Extension:
        config = self.make_config()
        with seeded_global(seed):
            extension: Extension = self.under_test()(config, inner)
        return extension

    def test_declarations(self) -> None:
        """The extension has a kind, a config class and the innermost model."""
        inner = self.make_inner()
        extension = self._around(inner, 0)
        require_offer("extension", type(extension))
        require(extension.bare is inner.bare, "bare, the innermost model", extension.bare)

    def test_config_survives_toml_and_has_a_schema(self) -> None:
        """Keys survive TOML unchanged and have descriptions; unknown keys are refused."""
        require_config(self.make_config())

    def test_the_model_stays_what_it_was(self) -> None:
        """Neither its construction nor its losses change the model's weights or add weights."""
        inner = self.make_inner()
        before = {name: value.clone() for name, value in inner.state_dict().items()}
        extension = self._around(inner, 0)
        batch = self.make_batch()
        for phase in extension.phases():
            extension.begin_step(phase.first_epoch)
            extension.objective(phase.name, batch, _draws(), 1.0)
        after = inner.state_dict()
        new = sorted(after.keys() - before.keys())
        require(not new, "a model with the weights it had", f"new ones in it: {new}")
        changed = sorted(n for n, v in before.items() if n not in after or not v.equal(after[n]))
        require(not changed, "the model's weights left to its optimizer", f"others in {changed}")

    def test_weights_survive_saving(self) -> None:
        """A new extension with the weights of a checkpoint returns the same losses."""
        first, other = (self._around(self.make_inner(), seed) for seed in (0, 1))
        kept = {name: v.contiguous() for name, v in first.state_dict().items()}
        if kept:
            other.load_state_dict(safetensors.torch.load(safetensors.torch.save(kept)))
        batch = self.make_batch()
        for phase in first.phases():
            losses = []
            for extension in (first, other):
                extension.begin_step(phase.first_epoch)
                with seeded_global(0):  # for dropout
                    losses.append(extension.objective(phase.name, batch, _draws(), 1.0).loss)
            wants = f"{phase.name}: a loaded extension with the same loss (keep all in buffers)"
            require(torch.equal(*losses), wants, "another")

    def test_bands_are_of_terms_that_it_logs(self) -> None:
        """Each key of ``Config.bands`` is ``PHASE/TERM``, with ordered ends."""
        extension, batch, logged = self.make_trained(), self.make_batch(), set()
        phases = extension.phases()
        extension.begin_step(max(phase.first_epoch for phase in phases))
        for phase in phases:
            terms = extension.objective(phase.name, batch, _draws(), 1.0)
            logged |= {name for n in ("loss", *terms.named) for name in (n, f"{phase.name}/{n}")}
        for term, (low, high) in extension.Config.bands.items():
            require(term in logged, f"bands of terms among {sorted(logged)}", repr(term))
            require(low < high, f"a band of {term} from low to high", f"{low} to {high}")


def _draws() -> StepDraws:
    return StepDraws(0, "train", 0, slice(0, N), N)
