"""Real vectors for mmvae: the codec ``vector``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_vectors.vector import Vector

__all__ = ["Vector"]

mmvae_contract = 1


@hookimpl
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer the vector codec."""
    register(Vector)
