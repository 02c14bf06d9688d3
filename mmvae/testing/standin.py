"""A simple codec on which the suite tests models, which know no concrete modality."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from mmvae.data.batches import Batch
from mmvae.foundations.networks import mlp
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.modalities.recipe import HAS_MISSING

_DIM = 3


class Reals(Codec):
    """Three reals, p(x|z) = N(x; f(z), I)."""

    kind = "stand-in-reals"
    event_shape = (_DIM,)
    feature_dim = 8

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Reals (b, 3) → float32; all observed."""
        return torch.as_tensor(np.asarray(column.values), dtype=torch.float32), None

    def encoder(self) -> nn.Module:
        """One dense layer."""
        return mlp(_DIM, [self.feature_dim], "tanh")

    def decoder(self, input_dim: int) -> nn.Module:
        """One dense layer and the mean."""
        return mlp(input_dim, [8], "tanh", _DIM)

    def likelihood(self, parameters: Parameters) -> Distribution:
        """Unit variance."""
        return Independent(Normal(parameters, torch.ones_like(parameters), False), 1)  # type: ignore[arg-type]

    def point(self, likelihood: Distribution) -> Tensor:
        """The mean."""
        return likelihood.mean

    def restore(self, x: Tensor) -> Column:
        """The same reals."""
        return Column(x.detach().cpu().numpy())

    def parse(self, text: str) -> Column:
        """Three numbers, comma-separated."""
        return Column(np.array([[float(part) for part in text.split(",")]]))


def codecs(*names: str, gaps: bool = False) -> dict[str, Codec]:
    """A codec for each modality, which training items lack or never lack."""
    return {name: Reals(CodecConfig(), {HAS_MISSING: True} if gaps else None) for name in names}


def batch(items: int, *names: str) -> Batch:
    """Complete items, each modality a noisy copy of the same hidden reals."""
    source = torch.Generator().manual_seed(0)
    hidden = torch.randn(items, _DIM, generator=source)
    x = {m: hidden + 0.3 * torch.randn(items, _DIM, generator=source) for m in names}
    return Batch(x, dict.fromkeys(names))


def incomplete(items: int, present: Mapping[str, Tensor]) -> Batch:
    """The same items with missing modalities: modality → mask of its items, bool (items,)."""
    x = {
        m: torch.where(present[m].unsqueeze(1), v, 0.0)
        for m, v in batch(items, *present).x.items()
    }
    return Batch(x, dict.fromkeys(x), present)
