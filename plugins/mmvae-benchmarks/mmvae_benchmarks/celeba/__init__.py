"""CelebA: photographs of faces with forty attributes, cropped once and kept on disk."""

from __future__ import annotations

from mmvae_benchmarks.celeba.source import Celeba

__all__ = ["Celeba"]
