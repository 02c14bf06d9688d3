"""Every random draw is a function of (seed, purpose, step) for the global batch.

No draw depends on what was drawn before, on the number of processes, on accumulation or on where
a run was stopped: a process draws for the whole batch and takes its rows.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def derived_seed(seed: int, *key: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and every part of ``key``."""
    text = repr((seed, *key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, *key: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for one purpose, for example ``generator(seed, "noise", step)``."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, *key))


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order of ``n`` items in ``epoch``: a pure function of (seed, epoch)."""
    return torch.randperm(n, generator=generator(seed, "order", epoch))
