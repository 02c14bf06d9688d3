"""Generation: modalities drawn from any others, or from a prior."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.foundations.errors import UsageError
from mmvae.inference.conditions import condition, given_column
from mmvae.inference.sampling import (
    PriorName,
    decode,
    device_of,
    prior_of,
    sample_latent,
    sample_latents,
)
from mmvae.modalities.subsets import canonical
from mmvae.models.base import Model


def draw(
    model: Model,
    given: Mapping[str, Any] | None,
    to: str | Sequence[str] | None,
    count: int,
    temperature: float,
    sample: bool,
    seed: int,
    prior: PriorName | None,
) -> dict[str, Tensor]:
    """Draw codecs' model values, (n · count, event…); see :meth:`mmvae.TrainedModel.generate`."""
    if not (isinstance(count, Integral) and count >= 1):
        raise UsageError(f"count = {count!r}: expected a whole number of at least 1.")
    if not (isinstance(temperature, Real) and 0 <= temperature < math.inf):
        raise UsageError(f"temperature = {temperature!r}: expected a finite number, 0 or more.")
    if not isinstance(seed, Integral):
        raise UsageError(f"seed = {seed!r}: expected a whole number.")
    given, device = given or {}, device_of(model)
    if given and prior is not None:
        raise UsageError(
            f"prior = {prior!r} has no effect where {', '.join(given)} is given: z comes from "
            f"the posterior. Leave one of the two out."
        )
    canonical(given, model.modalities)
    targets = canonical(
        [m for m in model.modalities if m not in given] if to is None else to, model.modalities
    )
    columns = {m: given_column(model.codecs[m], m, value) for m, value in given.items()}
    x = {m: condition(model.codecs[m], m, column).to(device) for m, column in columns.items()}
    sizes = {m: len(value) for m, value in x.items()}
    if len(set(sizes.values())) > 1:
        raise UsageError(f"given: expected equally many values, got {sizes}.")
    n = next(iter(sizes.values()), 1)
    masks = {m: c.present for m, c in columns.items() if c.num_missing}
    present = {m: torch.from_numpy(has).to(device) for m, has in masks.items()}
    if x:
        z = sample_latents(model, Batch(x, dict.fromkeys(x), present), count, temperature, seed)
    else:
        q = prior_of(model, prior, n)
        z = sample_latent(model, q, torch.arange(n), n, count, temperature, seed)
    known = {m: value.repeat_interleave(count, 0) for m, value in x.items()}
    return {m: decode(model, m, z, sample, seed, known) for m in targets}
