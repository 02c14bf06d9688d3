"""Procedural faces in the form of CelebA: pictures drawn from forty attributes and a seed."""

from __future__ import annotations

from mmvae_benchmarks.faces.maker import Faces as Faces
