"""Parameters of likelihoods, and latents with leading dimensions."""

from __future__ import annotations

import torch
from torch import Tensor

from mmvae.modalities.likelihoods.likelihood import Parameters


def held_fixed(parameters: Parameters, rows: Tensor) -> Parameters:
    """Parameters (n, …) whose gradient is 0 in the masked rows, bool (n,), whatever arrives there.

    A fill value may lie outside the support, where the slope of the density is not finite.
    """
    if isinstance(parameters, Tensor):
        which = rows.view(-1, *[1] * (parameters.dim() - 1))
        return torch.where(which, parameters.detach(), parameters)
    return {name: held_fixed(value, rows) for name, value in parameters.items()}  # type: ignore[misc]


def in_float32(parameters: Parameters) -> Parameters:
    """Likelihood parameters in at least float32, for any dtype under autocast."""
    if isinstance(parameters, Tensor):
        return parameters.float() if parameters.dtype.itemsize < 4 else parameters
    return {name: in_float32(value) for name, value in parameters.items()}  # type: ignore[misc]


def fold(z: Tensor) -> tuple[Tensor, torch.Size]:
    """Latents (…, d) → flat (n, d) and the leading shape, for :func:`unfold`."""
    return z.reshape(-1, z.shape[-1]), z.shape[:-1]


def unfold(values: Tensor, shape: torch.Size) -> Tensor:
    """Flat values (n, …) → (leading shape, …); undoes :func:`fold`."""
    return values.reshape(*shape, *values.shape[1:])
