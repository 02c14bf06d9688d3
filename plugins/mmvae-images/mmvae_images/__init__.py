"""Pictures for mmvae: ``bernoulli-image`` and ``gaussian-conv-image``, and sheets of samples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_images.bernoulli import BernoulliImage
from mmvae_images.gaussian_conv import GaussianConvImage
from mmvae_images.samples import Samples

__all__ = ["BernoulliImage", "GaussianConvImage", "Samples"]

mmvae_contract = 1


@hookimpl
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer the image codecs."""
    register(BernoulliImage)
    register(GaussianConvImage)


@hookimpl
def register_observers(register: Callable[[type[Any]], None]) -> None:
    """Offer the sheets of samples."""
    register(Samples)
