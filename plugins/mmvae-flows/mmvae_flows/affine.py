"""Location and scale of a distribution, from a context or as free weights."""

from __future__ import annotations

from torch import Tensor, nn

from mmvae import bounded


def full(value: Tensor) -> Tensor:
    """Convert to at least float32."""
    return value.float() if value.dtype.itemsize < 4 else value


class Numbers(nn.Module):
    """``width`` numbers: linear in a context (…, c), or free weights if c = 0.

    They start near ``start``, so that a family starts near a chosen distribution.

    Args:
        context_dim: c.
        start: Their initial values, (width,).
    """

    def __init__(self, context_dim: int, start: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(context_dim, len(start)) if context_dim else None
        self.start = nn.Parameter(start.clone())
        if self.linear is not None:
            nn.init.zeros_(self.linear.bias)
            self.linear.bias.requires_grad_(False)  # `start` is the bias

    def forward(self, context: Tensor) -> Tensor:
        """Map a context (…, c) to (…, width), in at least float32."""
        if self.linear is None:
            return self.start.expand(*context.shape[:-1], -1)
        return full(self.linear(context)) + self.start


def log_deviation(raw: Tensor) -> Tensor:
    """Log σ: ``raw`` unchanged within ±12.5, bounded to ±15, so that σ and 1/σ² stay finite."""
    return bounded(raw, 12.5, 2.5)
