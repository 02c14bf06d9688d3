"""A trained model: embed, generate, reconstruct, score; saved and loaded without pickle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.data.batches import (
    Batch,
    Batches,
    fixed_draws,
    fixed_view,
    plain_view,
)
from mmvae.data.memory import as_column, as_split
from mmvae.data.missing import presence
from mmvae.data.source import Split
from mmvae.data.value_errors import refusals
from mmvae.data.written_cells import as_text, converted
from mmvae.evaluation.bounds import iw_bound
from mmvae.evaluation.standardised import added_nats
from mmvae.foundations.errors import LONG, DataError, UsageError, nearest, short, shortened
from mmvae.foundations.randomness import ItemDraws, generator
from mmvae.foundations.surroundings import undisturbed
from mmvae.modalities.codec import Codec, Column
from mmvae.modalities.column_type import ColumnType
from mmvae.modalities.subsets import canonical
from mmvae.models.base import Model
from mmvae.models.finite import LATENT, finite_values, require_finite
from mmvae.models.missing import answers_jointly, by_pattern, completed, posterior_of
from mmvae.models.posteriors import Posterior

PriorName = Literal["fitted", "standard"]

CHUNK = 500
"""Number of items per forward pass."""


class TrainedModel:
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
    def types(self) -> dict[str, ColumnType]:
        """Column of a table → its type in the training data, so that files are read alike."""
        known = {m: codec.column_type for m, codec in self.codecs.items()}
        found = {m: kind for m, kind in known.items() if kind is not None}
        return found | {self.columns[m]: kind for m, kind in found.items()}

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.model.parameters()).device

    # -- uses ----------------------------------------------------------------------------------

    @undisturbed()
    @torch.no_grad()
    def embed(self, data: Any, given: str | Sequence[str] | None = None) -> Tensor:
        """Posterior means of z.

        Items may lack modalities that ``data`` has. A model that was trained on such items uses
        q(z|x_O, O), with O the modalities of an item. Otherwise, or if ``given`` names modalities,
        the posterior is q_O of that subset (T13). An item without any modality gets the mean of
        the prior, as in imputation; :meth:`blank` tells which items these are.

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
        split = data if isinstance(data, Split) else as_split(data, "data")
        blank = self.blank(split, given)
        if self.model.conditional:  # raises an error for items without any modality
            blank[:] = False
        z = torch.empty(len(split), self.model.latent_dim)
        if blank.any():
            z[blank] = self.model.sampling_prior(int(blank.sum())).point().cpu()
        if not blank.all() or not len(split):  # raises an error
            known = split.take(np.flatnonzero(~blank)) if blank.any() else split
            parts = [self._points(batch, given).cpu() for batch, _ in self.batches(known, given)]
            z[~blank] = torch.cat(parts).to(z)
        require_finite(self.model, "+".join(self.names(split, given)), LATENT, z)
        return z

    def blank(
        self, items: Split, given: str | Sequence[str] | None = None
    ) -> np.ndarray[Any, Any]:
        """Mask of the items that have none of the given modalities, or none at all, bool (n,)."""
        return np.asarray(~presence(items, self.names(items, given)).any(1))

    @undisturbed()
    def points(
        self, batch: Batch, given: str | Sequence[str] | None = None, first: int = 0
    ) -> Tensor:
        """The point estimate of each item's posterior, (b, d); items are numbered from ``first``.

        Raises:
            TrainingError: A value is not finite.
        """
        z = self._points(batch, given)
        require_finite(self.model, "+".join(batch.x), LATENT, z, first)
        return z

    def _points(self, batch: Batch, given: str | Sequence[str] | None) -> Tensor:
        z = torch.empty(len(batch), self.model.latent_dim, device=self.device)
        for group in by_pattern(batch):
            point = posterior_of(self.model, group, given is not None).point()
            z[group.rows.to(z.device)] = point.to(z)
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
        if count < 1:
            raise UsageError(f"count = {count}: expected at least 1.")
        if temperature < 0:
            raise UsageError(f"temperature = {temperature}: expected 0 or more.")
        given = given or {}
        if given and prior is not None:
            raise UsageError(
                f"prior = {prior!r} has no effect where {', '.join(given)} is given: z comes from "
                f"the posterior. Leave one of the two out."
            )
        canonical(given, self.modalities)
        targets = canonical(
            [m for m in self.modalities if m not in given] if to is None else to, self.modalities
        )
        columns = {m: given_column(self.codecs[m], m, value) for m, value in given.items()}
        x = {m: self.conditions(m, column) for m, column in columns.items()}
        sizes = {m: len(value) for m, value in x.items()}
        if len(set(sizes.values())) > 1:
            raise UsageError(f"given: expected equally many values, got {sizes}.")
        n = next(iter(sizes.values()), 1)
        masks = {m: c.present for m, c in columns.items() if c.num_missing}
        present = {m: torch.from_numpy(has).to(self.device) for m, has in masks.items()}
        if x:
            z = self.sample_latents(Batch(x, dict.fromkeys(x), present), count, temperature, seed)
        else:
            z = self.sample_latent(
                self.prior_of(prior, n), torch.arange(n), n, count, temperature, seed
            )
        known = {m: value.repeat_interleave(count, 0) for m, value in x.items()}
        return {m: self.decode(m, z, sample, seed, known) for m in targets}

    def prior_of(self, name: PriorName | None, n: int) -> Posterior:
        """The prior of unconditional samples, batch shape (n,)."""
        if name not in (None, *get_args(PriorName)):
            raise UsageError(
                f"prior = {name!r}: expected one of {', '.join(get_args(PriorName))}, or None."
                + nearest(str(name), get_args(PriorName))
            )
        if name == "standard":
            return self.model.prior({}, n)
        if name == "fitted" and self.model.fitted_prior(n) is None:
            raise UsageError(
                "prior = 'fitted': this model has no fitted prior. Train it with a table [prior], "
                "or take the standard one."
            )
        return self.model.sampling_prior(n)

    @undisturbed()
    def sample_latents(self, batch: Batch, count: int, temperature: float, seed: int) -> Tensor:
        """Samples of z from the items' subset posteriors, flat; see :meth:`sample_latent`."""
        n, d = len(batch), self.model.latent_dim
        z = torch.empty(n, count, d, device=self.device)
        for group in by_pattern(batch):
            if not group.subset:
                raise DataError(
                    f"given: item {int(group.rows[0])} has none of {', '.join(batch.x)}; expected "
                    f"a value of one of them at least. Leave that item out."
                )
            q = posterior_of(self.model, group, named=True)
            drawn = self.sample_latent(q, group.rows, n, count, temperature, seed)
            z[group.rows.to(z.device)] = drawn.view(-1, count, d).to(z)
        return z.flatten(0, 1)

    @undisturbed()
    def sample_latent(
        self, q: Posterior, rows: Tensor, n: int, count: int, temperature: float, seed: int
    ) -> Tensor:
        """Samples of z for some of n items, flat, (g · count, d), grouped by item."""
        if temperature == 0:
            return q.point().repeat_interleave(count, 0)
        noise = torch.randn(
            n, count, self.model.latent_dim, generator=generator(seed, "generate", "z")
        )[rows]
        z = q.rsample(temperature * noise.to(self.device).transpose(0, 1))
        return z.transpose(0, 1).flatten(0, 1)

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
        codec, values = self.codecs[modality], []
        how: Callable[[Distribution], Tensor]
        source = generator(seed, "generate", modality)
        for start in range(0, len(z), CHUNK):
            rows = slice(start, start + CHUNK)
            known = {m: value[rows] for m, value in (given or {}).items()}
            how = partial(codec.sample, generator=source) if sample else codec.point
            drawn = finite_values(self.model, modality, z[rows], known, how, start)
            values.append(drawn.cpu())
        return torch.cat(values)

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
            known, z = self.known(batch, given), self.points(batch, given, rows.start)
            for m in targets:
                parts[m].append(self.decode(m, z, given=known))
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
        parts: list[Mapping[str, Tensor]] = []
        for batch, rows in self.batches(data, self.modalities, fixed=True):
            draws = ItemDraws(seed, "elbo", rows, self.device)
            if batch.presence and not self.model.takes_gaps:
                self.model.joint_posterior(batch)  # raises the reason
            phase = self.model.phases()[0].name
            parts.append(self.model.objective(phase, batch, draws, 1.0).named)
        return {name: torch.cat([p[name] for p in parts]).cpu() for name in parts[0]}

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
        """The bound of :meth:`score`, and beside it the bound for the standardised values.

        Returns:
            Nats per item, shape (n,), in the user's units, and for the values that networks see;
            None in its place if no codec of the modalities standardises.
        """
        scores, standardised = [], []
        for batch, rows in self.batches(data, targets, fixed=True):
            draws = ItemDraws(seed, "score", rows, self.device)
            nats = torch.empty(len(batch), dtype=torch.float64)
            for group in by_pattern(batch):
                subset, few = group.subset, group.batch
                if answers_jointly(self.model, subset, targets is not None):
                    subset, few = self.modalities, completed(self.model, group)
                theirs = draws.take(group.rows)
                nats[group.rows] = iw_bound(self.model, few, subset, subset, samples, theirs).cpu()
            what = "the bound of the log-likelihood"
            require_finite(self.model, "+".join(batch.x), what, nats, rows.start)
            scores.append(nats)
            added = added_nats(self.codecs, batch, tuple(batch.x))
            if added is not None:
                standardised.append(nats + added)
        return torch.cat(scores), torch.cat(standardised) if standardised else None

    # -- data in -------------------------------------------------------------------------------

    def known(self, batch: Batch, given: str | Sequence[str] | None = None) -> dict[str, Tensor]:
        """The model input of the given modalities of a batch; default: of all that it has."""
        names = canonical(batch.x if given is None else given, self.modalities)
        return {m: batch.x[m] for m in names}

    def batches(
        self, data: Any, modalities: str | Sequence[str] | None = None, fixed: bool = False
    ) -> Iterator[tuple[Batch, slice]]:
        """Model input of n items in chunks, with the rows of each; see :meth:`embed` for ``data``.

        Args:
            data: The items.
            modalities: The modalities; default: those that ``data`` has.
            fixed: Use the codecs' fixed views, for likelihoods; else values as they are.
        """
        split = data if isinstance(data, Split) else as_split(data, "data")
        names = self.names(split, modalities)
        if len(split) == 0:
            raise DataError("data: it holds no items; expected at least one.")
        codecs = {m: self.codecs[m] for m in names}
        items = Batches(split, codecs, names, self.device, resident=False)
        view = fixed_view if fixed else plain_view
        for start in range(0, len(split), CHUNK):
            rows = slice(start, min(start + CHUNK, len(split)))
            draws = fixed_draws(rows, self.device)
            yield items.batch(torch.arange(rows.start, rows.stop), draws, view), rows

    def names(self, split: Split, modalities: str | Sequence[str] | None) -> dict[str, str]:
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

    @undisturbed()
    def condition(self, modality: str, value: Any) -> Tensor:
        """Convert one value or n values from a user to model input (n, event…).

        Raises:
            DataError: The codec does not accept such a value.
        """
        return self.conditions(modality, given_column(self.codecs[modality], modality, value))

    @undisturbed()
    def conditions(self, modality: str, column: Column) -> Tensor:
        """Convert a column as :meth:`condition` does, with the codec's fill value if missing."""
        codec, value = self.codecs[modality], column.values
        if len(column) == 0:
            raise DataError(f"given {modality}: no value; expected at least one.")
        if column.num_missing:
            x = codec.missing(len(column)).to(self.device)
            rows = torch.from_numpy(column.rows).to(self.device)
            if len(rows):
                x[rows] = self.conditions(modality, column.without_gaps())
            return x
        try:
            with refusals(modality, codec.kind, column, find=_only_row):
                x = codec.condition(column)
        except DataError as error:
            raise DataError(f"{error}{_advice(codec, column)}") from error.__cause__
        wanted = (len(column), *codec.event_shape)
        if tuple(x.shape) != wanted:
            raise DataError(
                f"given {modality} = {short(value)}: codec {codec.kind!r} made of it a condition "
                f"of shape {tuple(x.shape)}, expected {wanted}.{_advice(codec, column)}"
            )
        if not torch.isfinite(x).all():
            raise DataError(
                f"given {modality} = {short(value)}: not finite; expected finite numbers."
            )
        return x.to(self.device)


def given_column(codec: Codec, modality: str, value: Any) -> Column:
    """Convert one value or n values from a user to a column.

    Raises:
        DataError: A text that the codec cannot read, or no values at all.
    """
    try:
        if isinstance(value, str):
            return replace(codec.parse(as_in_files(codec, value)), origin="given")
        single = not hasattr(value, "__len__") or not (has_gaps(value) or np.ndim(value) > 0)
    except ValueError as error:
        said = shortened(str(error), LONG)
        raise DataError(f"given {modality} = {short(value)}: {said}") from error
    return replace(as_column([value] if single else value, "given"), origin="given")


def as_in_files(codec: Codec, text: str) -> str:
    """A typed value as the cell of a file is read: ``01`` is 1 where the column holds numbers."""
    kind = codec.column_type.kind if codec.column_type else "text"
    if kind not in ("integer", "number", "boolean"):
        return text
    try:
        return str(as_text(converted(text.strip(), kind)))
    except (ValueError, OverflowError):  # no single value of that kind: the codec says of it
        return text


def has_gaps(value: Any) -> bool:
    """True if these are n values of which some are None."""
    return isinstance(value, (list, tuple)) and any(one is None for one in value)


def _only_row(column: Column) -> int | None:
    return 0 if len(column) == 1 else None


def _advice(codec: Codec, column: Column) -> str:
    """Advice for a refused flat list that may be meant as one vector."""
    flat = isinstance(column.values, np.ndarray) and column.values.ndim == 1
    if not (flat and len(column) > 1 and codec.event_shape):
        return ""
    return " A list holds one value per item: wrap a single vector in a list, [[…]]."
