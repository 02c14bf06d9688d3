"""Metrics of generated pictures: ``frechet``, ``power-spectrum`` and ``attribute-agreement``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_fidelity.agreement import AttributeAgreement
from mmvae_fidelity.frechet import Frechet
from mmvae_fidelity.spectrum import PowerSpectrum

__all__ = ["AttributeAgreement", "Frechet", "PowerSpectrum"]

mmvae_contract = 1


@hookimpl
def register_metrics(register: Callable[[type[Any]], None]) -> None:
    """Offer the metrics."""
    for metric in (Frechet, PowerSpectrum, AttributeAgreement):
        register(metric)
