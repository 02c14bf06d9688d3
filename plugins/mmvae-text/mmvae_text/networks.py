"""Networks of texts: convolutions that read one, and per-position layers that write one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmvae import Activation, activation, mlp
from mmvae_text.strings import ended


class Reader(nn.Module):
    """Codes (b, L) → features (b, 2 · channels[-1]): embedding, convolutions, pooling.

    Symbols and their positions are embedded. The features are the sum and the maximum of the
    convolutions over the text and its end. Items do not affect each other.

    Args:
        symbols: Number of codes, including the fill value for a missing text.
        length: L.
        channels: Channels of the embedding, and of each convolution.
        kernel: Width of a convolution, an odd number.
        act: Activation after each convolution.
    """

    def __init__(
        self, symbols: int, length: int, channels: Sequence[int], kernel: int, act: Activation
    ) -> None:
        super().__init__()
        self.symbols = nn.Embedding(symbols, channels[0])
        self.positions = nn.Parameter(torch.randn(length, channels[0]))
        layers: list[nn.Module] = []
        for width, wider in zip([channels[0], *channels[:-1]], channels, strict=True):
            layers += [nn.Conv1d(width, wider, kernel, padding=kernel // 2), activation(act)]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Codes (b, L), as floats, to features."""
        codes = x.long()
        h = self.convolutions((self.symbols(codes) + self.positions).mT)  # (b, channels, L)
        after = ended(codes).unsqueeze(1)
        total = h.masked_fill(after, 0.0).sum(-1) / codes.shape[-1]
        return torch.cat([total, h.masked_fill(after, -torch.inf).amax(-1)], -1)


class Writer(nn.Module):
    """Latents (b, input_dim) → logits (b, L, V): positions are independent, given z.

    A projection of z plus the position's embedding passes through dense layers that all positions
    share.

    Args:
        input_dim: Width of its input.
        length: L.
        symbols: V.
        hidden: Widths of the dense layers, at least one.
        act: Their activation.
    """

    def __init__(
        self, input_dim: int, length: int, symbols: int, hidden: Sequence[int], act: Activation
    ) -> None:
        super().__init__()
        self.latent = nn.Linear(input_dim, hidden[0])
        self.positions = nn.Parameter(torch.randn(length, hidden[0]))
        self.layers = nn.Sequential(activation(act), *mlp(hidden[0], hidden[1:], act, symbols))

    def forward(self, h: Tensor) -> Tensor:
        """Latents (b, input_dim) to logits (b, L, V)."""
        logits: Tensor = self.layers(self.latent(h).unsqueeze(1) + self.positions)
        return logits
