"""Log-likelihoods of standardised values, in addition to those in the user's units.

A codec that standardises, x' = (x − m) / s, gives log p(x) in the user's units. The density of
the standardised values is larger by the product of the scales: log p(x') = log p(x) + Σ log s over
the observed entries. Published results mostly refer to standardised values.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.modalities.codec import Codec
from mmvae.modalities.density import scale_nats
from mmvae.modalities.subsets import Subset

KEY = "standardised"
"""Name, in results, of the statistic for standardised values, next to that in the user's units."""

SUFFIX = f" {KEY}"
"""Suffix of the name of its values per item."""


def added_nats(codecs: Mapping[str, Codec], batch: Batch, targets: Subset) -> Tensor | None:
    """Nats by which log p(x_T) of standardised values exceeds that of the user's values.

    Args:
        codecs: Modality → fitted codec.
        batch: The items; a modality that an item lacks adds 0.
        targets: T.

    Returns:
        Nats per item, float64 (b,) on the CPU; None where no modality of T is standardised.
    """
    total: Tensor | None = None
    for m in targets:
        nats = scale_nats(codecs[m], batch.observed[m])
        if nats is None:
            continue
        nats = nats.expand(len(batch))
        if m in batch.presence:
            nats = torch.where(batch.presence[m].cpu(), nats, 0.0)
        total = nats if total is None else total + nats
    return total
