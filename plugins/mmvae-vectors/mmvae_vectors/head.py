"""The head of a vector's decoder, which outputs σ."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmvae import Parameters

_RAW_ONE = math.log(math.expm1(1.0))  # its softplus is 1, the initial value of a learned scale


class Head(nn.Module):
    """The decoder's last step: its output as locations and raw scales.

    Args:
        body: Networks (b, input_dim) → (b, cells), or (b, 2 · cells) if the scale is predicted.
        cells: Cells of a vector.
        scale: A number, ``"learned"`` or ``"predicted"``.
    """

    def __init__(self, body: nn.Module, cells: int, scale: float | str) -> None:
        super().__init__()
        self.body = body
        self.predicted = scale == "predicted"
        self.raw_scale = (
            nn.Parameter(torch.full((cells,), _RAW_ONE)) if scale == "learned" else None
        )

    def forward(self, h: Tensor) -> Parameters:
        """Latents (b, input_dim) to ``location`` and ``raw_scale``, or to locations alone."""
        out: Tensor = self.body(h)
        if self.raw_scale is not None:
            return {"location": out, "raw_scale": self.raw_scale.expand_as(out)}
        if self.predicted:
            location, raw = out.chunk(2, dim=1)
            return {"location": location, "raw_scale": raw}
        return out
