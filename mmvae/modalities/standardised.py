"""Standardised values, (x − mean) / deviation: the check of a codec's state for them."""

from __future__ import annotations

import math

import torch

from mmvae.modalities.recipe import State


def check_standardised(state: State, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Require a finite ``mean`` and a positive ``deviation`` for each cell in a codec's state.

    Data of any scale give their own deviation, 1e-45 too. Below the least normal number its
    reciprocal would be infinite.

    Args:
        state: The state, for :meth:`mmvae.Codec.check_state`.
        shape: The shape of the cells.
        dtype: The type of both tensors.

    Raises:
        ValueError: One of them has another shape or type, or a number that is out of range.
    """
    least = {"mean": -math.inf, "deviation": torch.finfo(dtype).tiny}
    for key, wanted in (("mean", "finite"), ("deviation", "positive")):
        values = state[key]
        sound = values.dtype == dtype and tuple(values.shape) == shape
        if not (sound and bool((values.isfinite() & (values >= least[key])).all())):
            bits = torch.finfo(dtype).bits
            raise ValueError(
                f"{key} is {values.tolist()!r:.80}, expected {wanted} numbers of {bits} bits, "
                f"shape {shape}"
            )
