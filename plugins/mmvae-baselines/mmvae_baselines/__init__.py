"""Conditional models for mmvae, as baselines for joint ones: ``cvae`` and ``cmma``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_baselines.cmma import CMMA
from mmvae_baselines.cvae import CVAE

__all__ = ["CMMA", "CVAE"]

mmvae_contract = 1


@hookimpl
def register_models(register: Callable[[type[Any]], None]) -> None:
    """Offer both models."""
    register(CVAE)
    register(CMMA)
