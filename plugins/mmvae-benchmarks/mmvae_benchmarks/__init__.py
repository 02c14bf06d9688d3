"""Data sets for mmvae: ``digits`` (bundled with scikit-learn) and ``mnist`` (IDX files)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_benchmarks.digits import Digits
from mmvae_benchmarks.mnist import Mnist

__all__ = ["Digits", "Mnist"]


@hookimpl
def register_sources(register: Callable[[type[Any]], None]) -> None:
    """Offer the data sets."""
    register(Digits)
    register(Mnist)
