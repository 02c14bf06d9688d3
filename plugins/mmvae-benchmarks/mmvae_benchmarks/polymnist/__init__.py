"""PolyMNIST: five pictures of one digit, drawn on procedural textures or read as published."""

from __future__ import annotations

from mmvae_benchmarks.polymnist.procedural import ProceduralPolymnist
from mmvae_benchmarks.polymnist.published import Polymnist

__all__ = ["Polymnist", "ProceduralPolymnist"]
