"""Data sets for mmvae: read from files, such as ``mnist``, or made, such as ``faces``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_benchmarks.celeba import Celeba
from mmvae_benchmarks.digits import Digits
from mmvae_benchmarks.faces import Faces
from mmvae_benchmarks.leaves import Leaves
from mmvae_benchmarks.mnist import Mnist
from mmvae_benchmarks.polymnist import Polymnist, ProceduralPolymnist
from mmvae_benchmarks.stamps import Stamps

__all__ = [
    "Celeba",
    "Digits",
    "Faces",
    "Leaves",
    "Mnist",
    "Polymnist",
    "ProceduralPolymnist",
    "Stamps",
]

mmvae_contract = 1


@hookimpl
def register_sources(register: Callable[[type[Any]], None]) -> None:
    """Offer the data sets that are read."""
    register(Celeba)
    register(Digits)
    register(Mnist)
    register(Polymnist)
    register(ProceduralPolymnist)
    register(Stamps)


@hookimpl
def register_makers(register: Callable[[type[Any]], None]) -> None:
    """Offer the data sets that can be made."""
    register(Faces)
    register(Leaves)
