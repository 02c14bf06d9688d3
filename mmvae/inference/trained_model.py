"""A trained model: embed, generate, reconstruct, score; saved and loaded without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.foundations.surroundings import undisturbed
from mmvae.inference import generation, sampling, scoring
from mmvae.inference.model_input import ModelInput
from mmvae.inference.sampling import PriorName
from mmvae.modalities.subsets import canonical
from mmvae.models.finite import LATENT, require_finite


class TrainedModel(ModelInput):
    """A model with its codecs, ready for data in the user's own units.

    For embedding, reconstruction and generation encoders see values unchanged (a grey image stays
    grey), so an item's result does not depend on its row. Likelihoods need values in their
    support, so :meth:`score` and :meth:`elbo` use the codecs' fixed views (binary pixels). These
    views and the samples of z depend on the row of an item, not on how the data are divided.

    Args:
        model: The model, with its fitted codecs.
        columns: Modality → name of its column in tables.
        origin: The path that it was loaded from, for messages.
    """

    def __repr__(self) -> str:
        return f"TrainedModel({', '.join(self.modalities)}; z: {self.model.latent_dim})"

    @undisturbed()
    @torch.no_grad()
    def embed(self, data: Any, given: str | Sequence[str] | None = None) -> Tensor:
        """Posterior means of z.

        Items may lack modalities that ``data`` has. A model that was trained on such items uses
        q(z|x_O, O), with O the modalities of an item. Otherwise, or if ``given`` names modalities,
        the posterior is q_O of that subset (T13). An item without any modality gets the mean of
        the prior, as in imputation; :meth:`blank` returns the mask of these items.

        Args:
            data: Columns by modality (a dict of arrays, a ``datasets.Dataset``, a DataFrame, a
                :class:`mmvae.Split`) of n items.
            given: Modalities to use, or one; default: those that ``data`` has.

        Returns:
            Shape (n, d), on the CPU.

        Raises:
            UsageError: There is no posterior for these modalities.
            DataError: A column is missing or a value outside its codec's support.
        """
        split = self.split(data, given)
        blank = self.blank(split, given)
        if self.model.conditional:  # raises an error for items without any modality
            blank[:] = False
        z = torch.empty(len(split), self.model.latent_dim)
        if blank.any():
            z[blank] = self.model.sampling_prior(int(blank.sum())).point().cpu()
        if not blank.all() or not len(split):  # raises an error
            known = split.take(np.flatnonzero(~blank)) if blank.any() else split
            parts = [
                sampling.points(self.model, batch, given is not None).cpu()
                for batch, _ in self.batches(known, given)
            ]
            z[~blank] = torch.cat(parts).to(z)
        require_finite(self.model, "+".join(self.names(split, given)), LATENT, z)
        return z

    @undisturbed()
    def generate(
        self,
        given: Mapping[str, Any] | None = None,
        to: str | Sequence[str] | None = None,
        count: int = 1,
        temperature: float = 1.0,
        sample: bool = False,
        seed: int = 0,
        prior: PriorName | None = None,
    ) -> dict[str, Any]:
        """Generate modalities from any others, or from a prior.

        Args:
            given: Modality → one value, or n values, of which some may be None: an item then
                has the other modalities. With nothing given, z is drawn from a prior.
            to: Modalities to generate, or one; default: all that are not given.
            count: Samples of z for each of the n given items.
            temperature: Scale of the noise in z; 0 uses the posterior's point estimate.
            sample: Draw from the likelihood p(x_m|z) too; otherwise use its mean or mode.
            seed: Governs every draw.
            prior: With nothing given, the ``"fitted"`` prior of ``[prior]`` (T15) or the
                ``"standard"`` one, p(z); default: the fitted one, if there is one.

        Returns:
            Modality → n · count values in the user's units, an item's samples one after another.

        Raises:
            UsageError: An unknown modality, no posterior for the given ones, or no fitted prior.
            DataError: A codec refuses a given value.
        """
        drawn = self.draw(given, to, count, temperature, sample, seed, prior)
        return {m: self.codecs[m].restore(x).values for m, x in drawn.items()}

    @undisturbed()
    @torch.no_grad()
    def draw(
        self,
        given: Mapping[str, Any] | None = None,
        to: str | Sequence[str] | None = None,
        count: int = 1,
        temperature: float = 1.0,
        sample: bool = False,
        seed: int = 0,
        prior: PriorName | None = None,
    ) -> dict[str, Tensor]:
        """Like :meth:`generate`, but return codecs' model values, shape (n · count, event…)."""
        return generation.draw(self.model, given, to, count, temperature, sample, seed, prior)

    @undisturbed()
    @torch.no_grad()
    def decode(
        self,
        modality: str,
        z: Tensor,
        sample: bool = False,
        seed: int = 0,
        given: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Decode latents (n, d) to model values (n, event…): the mean or mode, or a draw.

        ``given`` are the model inputs (n, event…) that z comes from, for conditional models.

        Raises:
            TrainingError: A value is not finite.
        """
        return sampling.decode(self.model, modality, z, sample, seed, given or {})

    @undisturbed()
    @torch.no_grad()
    def reconstruct(
        self,
        data: Any,
        given: str | Sequence[str] | None = None,
        to: str | Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Decode each item at the point estimate of its posterior.

        Args:
            data: As for :meth:`embed`.
            given: Modalities to use, or one; default: those that ``data`` has.
            to: Modalities to decode, or one; default: all.

        Returns:
            Modality → n values in the user's units.
        """
        targets = canonical(self.modalities if to is None else to, self.modalities)
        parts: dict[str, list[Tensor]] = {m: [] for m in targets}
        for batch, rows in self.batches(data, given):
            z = sampling.points(self.model, batch, given is not None)
            require_finite(self.model, "+".join(batch.x), LATENT, z, rows.start)
            for m in targets:
                parts[m].append(self.decode(m, z, given=batch.x))
        return {m: self.codecs[m].restore(torch.cat(parts[m])).values for m in targets}

    @undisturbed()
    @torch.no_grad()
    def elbo(self, data: Any, seed: int = 0) -> dict[str, Tensor]:
        """The ELBO and its named terms, one sample of z each, for items with all modalities.

        For items with missing modalities, if the model was trained on such, it bounds log p(x_O)
        (T13).

        Returns:
            ``elbo``, ``kl``, ``log_likelihood/m``, ``penalty``, ``subset_kl/S``: nats per item,
            shape (n,).
        """
        chunks = self.batches(data, self.modalities, fixed=True)
        return scoring.elbo_terms(self.model, chunks, seed)

    @undisturbed()
    def score(
        self,
        data: Any,
        samples: int = 100,
        targets: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Importance-weighted bound of log p(x_T) for each item (T10).

        Each value is an estimate of a lower bound: a single one may exceed its log p(x_T) by
        chance, the mean over many items does not. With k → ∞ it converges to log p(x_T).

        Args:
            data: As for :meth:`embed`.
            samples: k, samples of the posterior per item; :meth:`embed` says which posterior.
            targets: T; default: the modalities that ``data`` has. For an item that lacks some of T
                it bounds the likelihood of the others.
            seed: Governs every draw.

        Returns:
            Nats per item in the user's units, pixels of images in [0, 1]; shape (n,).
        """
        return self.scores(data, samples, targets, seed)[0]

    @undisturbed()
    @torch.no_grad()
    def scores(
        self,
        data: Any,
        samples: int = 100,
        targets: str | Sequence[str] | None = None,
        seed: int = 0,
    ) -> tuple[Tensor, Tensor | None]:
        """The bound of :meth:`score`, and the bound for the standardised values.

        Returns:
            Nats per item, shape (n,), in the user's units, and for the values that networks see;
            None in its place if no codec of the modalities standardises.
        """
        chunks = self.batches(data, targets, fixed=True)
        return scoring.scores(self.model, chunks, samples, targets is not None, seed)
