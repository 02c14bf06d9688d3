"""Sampling: latents of posteriors and priors, and the values that they decode to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.data.batches import Batch
from mmvae.foundations.errors import DataError, UsageError, nearest
from mmvae.foundations.randomness import generator
from mmvae.models.base import Model
from mmvae.models.finite import finite_values
from mmvae.models.patterns import by_pattern, posterior_of
from mmvae.models.posteriors import Posterior

PriorName = Literal["fitted", "standard"]

CHUNK = 500
"""Number of items per forward pass."""


def prior_of(model: Model, name: PriorName | None, n: int) -> Posterior:
    """The prior of unconditional samples, batch shape (n,)."""
    if name not in (None, *get_args(PriorName)):
        raise UsageError(
            f"prior = {name!r}: expected one of {', '.join(get_args(PriorName))}, or None."
            + nearest(str(name), get_args(PriorName))
        )
    if name == "standard":
        return model.prior({}, n)
    if name == "fitted" and model.fitted_prior(n) is None:
        raise UsageError(
            "prior = 'fitted': this model has no fitted prior. Train it with a table [prior], "
            "or take the standard one."
        )
    return model.sampling_prior(n)


def points(model: Model, batch: Batch, named: bool) -> Tensor:
    """The point estimate of each item's posterior, (b, d).

    Args:
        model: The model.
        batch: Model input; items may lack modalities.
        named: True if the user named the modalities, rather than taking what the items have.
    """
    z = torch.empty(len(batch), model.latent_dim, device=device_of(model))
    for group in by_pattern(batch):
        point = posterior_of(model, group, named).point()
        z[group.rows.to(z.device)] = point.to(z)
    return z


def sample_latents(
    model: Model, batch: Batch, count: int, temperature: float, seed: int
) -> Tensor:
    """Samples of z from the items' subset posteriors, flat; see :func:`sample_latent`."""
    n, d = len(batch), model.latent_dim
    z = torch.empty(n, count, d, device=device_of(model))
    for group in by_pattern(batch):
        if not group.subset:
            raise DataError(
                f"given: item {int(group.rows[0])} has none of {', '.join(batch.x)}; expected "
                f"a value of one of them at least. Leave that item out."
            )
        q = posterior_of(model, group, named=True)
        drawn = sample_latent(model, q, group.rows, n, count, temperature, seed)
        z[group.rows.to(z.device)] = drawn.view(-1, count, d).to(z)
    return z.flatten(0, 1)


def sample_latent(
    model: Model, q: Posterior, rows: Tensor, n: int, count: int, temperature: float, seed: int
) -> Tensor:
    """Samples of z for some of n items, flat, (g · count, d), grouped by item."""
    if temperature == 0:
        return q.point().repeat_interleave(count, 0)
    noise = torch.randn(n, count, model.latent_dim, generator=generator(seed, "generate", "z"))[
        rows
    ]
    z = q.rsample(temperature * noise.to(device_of(model)).transpose(0, 1))
    return z.transpose(0, 1).flatten(0, 1)


def decode(
    model: Model,
    modality: str,
    z: Tensor,
    sample: bool,
    seed: int,
    given: Mapping[str, Tensor],
) -> Tensor:
    """Decode latents (n, d) to model values (n, event…); see :meth:`mmvae.TrainedModel.decode`."""
    codec, values = model.codecs[modality], []
    how: Callable[[Distribution], Tensor]
    source = generator(seed, "generate", modality)
    for start in range(0, len(z), CHUNK):
        rows = slice(start, start + CHUNK)
        known = {m: value[rows] for m, value in given.items()}
        how = partial(codec.sample, generator=source) if sample else codec.point
        drawn = finite_values(model, modality, z[rows], known, how, start)
        values.append(drawn.cpu())
    return torch.cat(values)


def device_of(model: Model) -> torch.device:
    """The device of a model's weights."""
    return next(model.parameters()).device
