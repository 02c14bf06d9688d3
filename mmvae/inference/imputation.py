"""Imputation of items: missing values decoded from the observed ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmvae.data.batches import Batch, Batches, fixed_draws, plain_view
from mmvae.data.missing import presence
from mmvae.data.source import Split
from mmvae.foundations.errors import SearchLimit, UsageError
from mmvae.foundations.randomness import ItemDraws, generator
from mmvae.foundations.surroundings import undisturbed
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.column import Column
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.base import Model
from mmvae.models.finite import finite_likelihood, finite_values, require_finite
from mmvae.models.patterns import Group, by_pattern, posterior_of
from mmvae.models.posteriors import Posterior

By = Literal["mean", "mode", "sample"]

MEAN_SAMPLES = 32
"""Number of samples of z for a mean."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Imputation:
    """The imputed values of one modality.

    Attributes:
        rows: Rows that lack all or some of it, ascending, int64 (k,).
        cells: Mask of the imputed cells of these rows, bool (k, event…).
        values: The complete modality of these rows, in the user's units: k values.
        shown: The same for display: PIL images or strings.
    """

    rows: Array
    cells: Array
    values: Column
    shown: list[Any]


@undisturbed()
@torch.no_grad()
def imputations(
    trained: TrainedModel,
    items: Split,
    by: By = "mode",
    seed: int = 0,
    first: int = 0,
    targets: Subset | None = None,
) -> dict[str, Imputation]:
    """Impute every missing value of some items: whole modalities, and entries of one.

    z comes from the subset posterior of the modalities of an item (:func:`imputing_posterior`);
    for an item without any, from the prior.

    Args:
        trained: The model.
        items: The items; a modality without a column is missing throughout.
        by: ``"mode"``: the point estimate of the posterior, and the decoder's best value there.
            ``"mean"``: the mean of p(x_m|z) over samples of the posterior; the mode if a
            likelihood has no mean, e.g. of a text or with heavy tails. ``"sample"``: one sample of
            z, and one of x_m.
        seed: Governs samples, with the number of an item.
        first: Number of the first item, if these are part of more.
        targets: The modalities to impute; default: all.

    Returns:
        Modality → imputed values, for modalities with missing values.

    Raises:
        DataError: No modality has a column, or a codec refuses a value.
        UsageError: The model has no posterior for the modalities of some item.
    """
    check_model(trained)
    columns = trained.names(items, None)
    has = {m: np.zeros(len(items), bool) for m in trained.modalities}
    there = presence(items, columns)
    has |= {m: there[:, k] for k, m in enumerate(columns)}
    known = np.flatnonzero(there.any(1))
    batch, observed = observed_of(trained, items.take(known), columns)
    lacking = {m: ~present for m, present in has.items()}
    partial = {m: partly(observed.get(m), known, len(items)) for m in trained.modalities}
    wanted = {m: lacking[m] | partial[m] for m in targets or trained.modalities}
    if not any(rows.any() for rows in wanted.values()):
        return {}
    draws = ItemDraws(seed, "impute", slice(first, first + len(items)), trained.device)
    noises = noise_of(draws, by, trained.model.latent_dim)
    z = latents(trained, batch, known, len(items), noises)
    found = {}
    for m, rows in wanted.items():
        if rows.any():
            prediction = decoded(trained, m, z, by, seed, first)
            found[m] = imputation(
                trained, m, np.flatnonzero(rows), prediction, batch, observed, known
            )
    return found


def observed_of(
    trained: TrainedModel, items: Split, columns: Mapping[str, str]
) -> tuple[Batch | None, Mapping[str, Tensor | None]]:
    """Model input of the items that have some modality, and masks of their observed entries."""
    if len(items) == 0:
        return None, {}
    codecs = {m: trained.codecs[m] for m in columns}
    batches = Batches(items, codecs, columns, trained.device, resident=False)
    rows = slice(0, len(items))
    batch = batches.batch(torch.arange(len(items)), fixed_draws(rows, trained.device), plain_view)
    return batch, batch.observed


def partly(observed: Tensor | None, known: Array, n: int) -> Array:
    """Mask of the items that have a modality, but lack some entries of it, bool (n,)."""
    found = np.zeros(n, bool)
    if observed is not None:
        found[known] = (~observed.flatten(1).all(1)).cpu().numpy()
    return found


def noise_of(draws: ItemDraws, by: By, dimensions: int) -> list[Tensor | None]:
    """Noise for each sample of z, (n, d); None for the point estimate."""
    if by == "mode":
        return [None]
    count = MEAN_SAMPLES if by == "mean" else 1
    return [draws.normal(f"z {k}", dimensions) for k in range(count)]


def latents(
    trained: TrainedModel, batch: Batch | None, known: Array, n: int, noises: list[Tensor | None]
) -> list[Tensor]:
    """One latent of each of n items for each noise, (n, d): of the posterior, or the prior.

    Args:
        trained: The model.
        batch: The items that have some modality; None if there are none.
        known: Their rows.
        n: Number of items.
        noises: Standard normal (n, d), or None for the point estimate.
    """
    model, device = trained.model, trained.device
    parts: list[tuple[Tensor, Posterior]] = []
    if len(known) < n:
        rest = torch.from_numpy(np.setdiff1d(np.arange(n), known)).to(device)
        parts.append((rest, model.sampling_prior(len(rest))))
    if batch is not None:
        where = torch.from_numpy(known).to(device)
        for group in by_pattern(batch):  # an item's result depends on its own values only
            parts.append((where[group.rows.to(device)], imputing_posterior(model, group)))
    found = []
    for noise in noises:
        z = torch.zeros(n, model.latent_dim, device=device)
        for rows, q in parts:
            z[rows] = q.point() if noise is None else q.rsample(noise[rows])
        found.append(z)
    return found


def imputing_posterior(model: Model, group: Group) -> Posterior:
    """The posterior of z that imputes missing modalities: that of O as a subset, q_O(z|x_O).

    It was fitted to the posteriors of items with more modalities, so it knows how well O predicts
    the others. q(z|x_O, O) was fitted to the likelihoods of O only, and may constrain z too little
    to predict the others. It is used only if no encoder covers O or parts of O.

    Raises:
        UsageError: The model has neither, or the search for a cover was too large.
    """
    try:
        return posterior_of(model, group, named=True)
    except SearchLimit:
        raise
    except UsageError:
        return posterior_of(model, group)


def check_model(trained: TrainedModel) -> None:
    """Refuse a model that has no posterior for an arbitrary set of modalities.

    Raises:
        UsageError: It models one modality given the others.
    """
    model = trained.model
    if model.conditional:
        raise UsageError(
            f"A model of kind {model.kind!r} cannot fill missing values: it models only "
            f"{subset_name(model.decoded)} given all other modalities. Use a model of all "
            f"modalities, such as model.kind = 'jmvae'; `mmvae generate` generates from complete "
            f"conditions."
        )


def decoded(
    trained: TrainedModel, modality: str, z: list[Tensor], by: By, seed: int, first: int
) -> Tensor:
    """Decode one modality at latents of n items: the mode, a sample, or the mean over them.

    Raises:
        TrainingError: A value is not finite.
    """
    codec, model = trained.codecs[modality], trained.model
    if by == "sample":
        source = generator(seed, "impute", modality, first, device=trained.device)
        draw = partial(codec.sample, generator=source)
        return finite_values(model, modality, z[0], how=draw, first=first)
    if by == "mode":
        return finite_values(model, modality, z[0], first=first)
    try:
        means = (finite_likelihood(model, modality, latent, first=first).mean for latent in z)
        mean = sum(means, z[0].new_zeros(())) / len(z)
    except NotImplementedError:  # e.g. of a text
        return best(trained, modality, z, first)
    lacking = mean.isnan()  # e.g. of a Student-t with at most one degree of freedom
    if lacking.any():
        mean = torch.where(lacking, best(trained, modality, z, first), mean)
    require_finite(model, modality, "the mean", mean, first)
    return mean


def best(trained: TrainedModel, modality: str, z: list[Tensor], first: int) -> Tensor:
    """The mode of one modality at the mean of the latents of n items."""
    centre = torch.stack(z).mean(0)
    return finite_values(trained.model, modality, centre, first=first)


def imputation(
    trained: TrainedModel,
    modality: str,
    rows: Array,
    prediction: Tensor,
    batch: Batch | None,
    observed: Mapping[str, Tensor | None],
    known: Array,
) -> Imputation:
    """Predicted values (n, event…) of some rows, with their observed entries unchanged."""
    codec = trained.codecs[modality]
    values = prediction[torch.from_numpy(rows).to(prediction.device)]
    cells = torch.ones(values.shape, dtype=torch.bool)
    mask = observed.get(modality)
    if mask is not None and batch is not None:
        theirs = np.isin(rows, known)  # rows that have a modality, and perhaps cells of this one
        at = torch.from_numpy(np.searchsorted(known, rows[theirs])).to(prediction.device)
        where = torch.from_numpy(theirs).to(prediction.device)
        kept = mask[at]
        if modality in batch.presence:
            kept = kept & batch.presence[modality][at].view(-1, *[1] * (kept.dim() - 1))
        values[where] = torch.where(kept, batch.x[modality][at], values[where])
        cells[where.cpu()] = ~kept.cpu()
    return Imputation(rows, cells.numpy(), codec.restore(values), codec.show(values))
