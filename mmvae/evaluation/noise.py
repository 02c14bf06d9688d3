"""Noise of the samples of z behind a bound, in blocks that fit in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from mmvae.foundations.randomness import StepDraws

NOISE_BLOCK = 32
"""Number of samples drawn at once, for any chunk size; so chunks change no sample."""


def item_noise(draws: StepDraws, samples: int, dim: int, at_once: int) -> Iterator[Tensor]:
    """Yield standard normal noise (k', b, d) in chunks, per item; chunking does not change it."""
    blocks = (
        draws.normal(f"z {start}", NOISE_BLOCK, dim).transpose(0, 1)
        for start in range(0, samples, NOISE_BLOCK)
    )
    return chunked(blocks, samples, at_once)


def prior_noise(draws: StepDraws, samples: int, dim: int, at_once: int) -> Iterator[Tensor]:
    """Yield standard normal noise (k', d) in chunks, the same for all items and all calls."""
    blocks = (
        torch.randn(NOISE_BLOCK, dim, generator=draws.generator(f"prior {start}"))
        for start in range(0, samples, NOISE_BLOCK)
    )
    return chunked(blocks, samples, at_once)


def chunked(blocks: Iterable[Tensor], total: int, at_once: int) -> Iterator[Tensor]:
    """Regroup blocks of rows into chunks of up to ``at_once`` rows, ``total`` in all."""
    together = max(1, at_once // NOISE_BLOCK)
    waiting: list[Tensor] = []
    for number, block in enumerate(blocks):
        waiting.append(block[: total - number * NOISE_BLOCK])
        if len(waiting) == together:
            yield from torch.split(torch.cat(waiting), max(at_once, 1))
            waiting = []
    if waiting:
        yield from torch.split(torch.cat(waiting), max(at_once, 1))
