"""A trained model in use: embed, generate, reconstruct, score; saved and loaded without pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.codec import Codec, Column
from mmvae.data.batches import Batch, fixed_view, prepare, unsupported
from mmvae.data.memory import as_column, as_split
from mmvae.errors import DataError, UnsupportedValue, UsageError, nearest
from mmvae.evaluation.bounds import iw_bound
from mmvae.models.protocol import Model
from mmvae.posteriors import Posterior
from mmvae.randomness import StepDraws, generator
from mmvae.source import Split
from mmvae.subsets import canonical

CHUNK = 500
"""Items that go through the networks at once."""


class TrainedModel:
    """A model with its codecs, ready for data in the user's own units.

    Args:
        model: The model, with its fitted codecs.
        columns: Modality → name of its column in tables.
        origin: Where it was loaded from, for messages.
    """

    def __init__(
        self, model: Model, columns: Mapping[str, str], origin: Path | None = None
    ) -> None:
        self.model = model.eval()
        self.columns, self.origin = dict(columns), origin

    def __repr__(self) -> str:
        return f"TrainedModel({', '.join(self.modalities)}; z: {self.model.latent_dim})"

    @property
    def codecs(self) -> dict[str, Codec]:
        """Modality → fitted codec."""
        return self.model.codecs

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of the configuration."""
        return self.model.modalities

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    # -- uses ----------------------------------------------------------------------------------

    def embed(self, data: Any, given: Sequence[str] | None = None) -> Tensor:
        """Posterior means of z.

        Args:
            data: Columns by modality (a dict of arrays, a ``datasets.Dataset``, a DataFrame, a
                :class:`mmvae.Split`) of n items.
            given: Modalities to look at; those that ``data`` has unless given.

        Returns:
            Shape (n, d), on the CPU.

        Raises:
            UsageError: There is no posterior for these modalities.
            DataError: A column is missing or a value outside its codec's support.
        """
        with torch.no_grad():
            return torch.cat(
                [self.posterior(batch, given).point().cpu() for batch in self.batches(data, given)]
            )

    def generate(
        self,
        given: Mapping[str, Any] | None = None,
        to: Sequence[str] | None = None,
        count: int = 1,
        temperature: float = 1.0,
        sample: bool = False,
        seed: int = 0,
    ) -> dict[str, Any]:
        """Generate modalities from any others, or from the prior.

        Args:
            given: Modality → one value, or n values; none draws z from the prior.
            to: Modalities to generate; all that are not given unless named.
            count: Samples of z for each of the n given items.
            temperature: Scale of the noise in z; 0 takes the posterior's best point.
            sample: Draw from the likelihood p(x_m|z) too; otherwise its mean or mode is taken.
            seed: Governs every draw.

        Returns:
            Modality → n · count values in the user's units, an item's samples one after another.

        Raises:
            UsageError: An unknown modality, or no posterior for the given ones.
            DataError: A given value is none that its codec accepts.
        """
        drawn = self.draw(given, to, count, temperature, sample, seed)
        return {m: self.codecs[m].restore(x).values for m, x in drawn.items()}

    @torch.no_grad()
    def draw(
        self,
        given: Mapping[str, Any] | None = None,
        to: Sequence[str] | None = None,
        count: int = 1,
        temperature: float = 1.0,
        sample: bool = False,
        seed: int = 0,
    ) -> dict[str, Tensor]:
        """As :meth:`generate`, but as the codecs' model values, shape (n · count, event…)."""
        if count < 1:
            raise UsageError(f"count = {count}: expected at least 1.")
        if temperature < 0:
            raise UsageError(f"temperature = {temperature}: expected 0 or more.")
        given = given or {}
        canonical(given, self.modalities)
        targets = canonical(
            [m for m in self.modalities if m not in given] if to is None else to, self.modalities
        )
        x = {m: self.condition(m, value) for m, value in given.items()}
        sizes = {m: len(value) for m, value in x.items()}
        if len(set(sizes.values())) > 1:
            raise UsageError(f"given: expected equally many values, got {sizes}.")
        n = next(iter(sizes.values()), 1)
        q = self.model.posterior(x) if x else self.model.prior({}, n)
        z = self.sample_latent(q, n, count, temperature, seed)
        return {m: self.decode(m, z, sample, seed) for m in targets}

    def sample_latent(
        self, q: Posterior, n: int, count: int, temperature: float, seed: int
    ) -> Tensor:
        """Samples of z, flat, shape (n · count, d), an item's samples one after another."""
        if temperature == 0:
            return q.point().repeat_interleave(count, 0)
        noise = torch.randn(
            n, count, self.model.latent_dim, generator=generator(seed, "generate", "z")
        )
        z = q.rsample(temperature * noise.to(self.device).transpose(0, 1))
        return z.transpose(0, 1).flatten(0, 1)

    @torch.no_grad()
    def decode(self, modality: str, z: Tensor, sample: bool = False, seed: int = 0) -> Tensor:
        """Latents (n, d) → model values (n, event…): the mean or mode, or a draw."""
        codec, values = self.codecs[modality], []
        source = generator(seed, "generate", modality)
        for part in torch.split(z, CHUNK):
            likelihood = self.model.likelihood(modality, part)
            drawn = codec.sample(likelihood, source) if sample else codec.point(likelihood)
            values.append(drawn.cpu())
        return torch.cat(values)

    def reconstruct(
        self,
        data: Any,
        given: Sequence[str] | None = None,
        to: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Decode each item at the best point of its posterior.

        Args:
            data: As for :meth:`embed`.
            given: Modalities to look at; those that ``data`` has unless given.
            to: Modalities to decode; all unless given.

        Returns:
            Modality → n values in the user's units.
        """
        z = self.embed(data, given).to(self.device)
        targets = canonical(self.modalities if to is None else to, self.modalities)
        return {m: self.codecs[m].restore(self.decode(m, z)).values for m in targets}

    @torch.no_grad()
    def elbo(self, data: Any, seed: int = 0) -> dict[str, Tensor]:
        """The bound and its named terms for complete items, one sample of z each.

        Returns:
            ``elbo``, ``kl``, ``log_likelihood/m``, ``penalty/S``: nats per item, shape (n,).
        """
        parts: list[Mapping[str, Tensor]] = []
        for chunk, batch in enumerate(self.batches(data, self.modalities)):
            draws = self.draws(seed, "elbo", chunk, len(batch))
            phase = self.model.phases()[0].name
            parts.append(self.model.objective(phase, batch, draws, 1.0).named)
        return {name: torch.cat([p[name] for p in parts]).cpu() for name in parts[0]}

    def score(
        self,
        data: Any,
        samples: int = 100,
        targets: Sequence[str] | None = None,
        seed: int = 0,
    ) -> Tensor:
        """Importance-weighted bound of log p(x_T) for each item (T10).

        Args:
            data: As for :meth:`embed`.
            samples: k, samples of the posterior per item.
            targets: T; the modalities that ``data`` has unless given.
            seed: Governs every draw.

        Returns:
            Nats per item, shape (n,).
        """
        scores = []
        for chunk, batch in enumerate(self.batches(data, targets)):
            draws = self.draws(seed, "score", chunk, len(batch))
            scores.append(
                iw_bound(self.model, batch, tuple(batch.x), tuple(batch.x), samples, draws)
            )
        return torch.cat(scores).cpu()

    # -- data in -------------------------------------------------------------------------------

    def posterior(self, batch: Batch, given: Sequence[str] | None = None) -> Posterior:
        """q(z|x_S) for the given modalities of a batch."""
        names = canonical(batch.x if given is None else given, self.modalities)
        return self.model.posterior({m: batch.x[m] for m in names})

    def batches(self, data: Any, modalities: Sequence[str] | None = None) -> Iterator[Batch]:
        """Model input of n items, in chunks; see :meth:`embed` for ``data``."""
        split = data if isinstance(data, Split) else as_split(data, "data")
        names = self.names(split, modalities)
        for chunk, start in enumerate(range(0, len(split), CHUNK)):
            rows = split.take(np.arange(start, min(start + CHUNK, len(split))))
            draws = self.draws(0, "view", chunk, len(rows))
            x, observed = {}, {}
            for m, column in names.items():
                values, mask = prepare(m, self.codecs[m], rows.columns[column], rows.ids)
                given = self.codecs[m].to_input(values.to(self.device))
                x[m] = draws.resample(m, fixed_view(self.codecs[m]), given)
                observed[m] = None if mask is None else mask.to(self.device)
            yield Batch(x, observed)

    def names(self, split: Split, modalities: Sequence[str] | None) -> dict[str, str]:
        """Modality → its column in ``split``: under its own name or the configured one."""
        wanted = canonical(self.modalities if modalities is None else modalities, self.modalities)
        found = {}
        for m in wanted:
            column = next((c for c in (self.columns[m], m) if c in split.columns), None)
            if column is not None:
                found[m] = column
            elif modalities is not None:
                raise DataError(
                    f"data: no column {self.columns[m]!r} for modality {m!r}; there are "
                    f"{', '.join(split.columns)}.{nearest(m, split.columns)}"
                )
        if not found:
            raise DataError(
                f"data: none of the columns {', '.join(split.columns)} is a modality; expected "
                f"some of {', '.join(self.columns[m] for m in self.modalities)}."
            )
        return found

    def condition(self, modality: str, value: Any) -> Tensor:
        """One value or n values that a user gives → model input (n, event…).

        Raises:
            DataError: The codec accepts no such value.
        """
        codec = self.codecs[modality]
        try:
            if isinstance(value, str):
                column = codec.parse(value)
            else:
                single = isinstance(value, (bool, int, float)) or np.ndim(value) == 0
                column = as_column([value] if single else value, f"given {modality!r}")
            return codec.condition(column).to(self.device)
        except UnsupportedValue as error:
            raise unsupported(modality, Column([], origin="given"), error) from error
        except ValueError as error:
            raise DataError(f"given {modality} = {value!r}: {error}") from error

    def draws(self, seed: int, purpose: str, chunk: int, n: int) -> StepDraws:
        """Randomness of one chunk of an evaluation."""
        return StepDraws(seed, purpose, chunk, slice(0, n), n, self.device)
