"""More flexible posteriors and priors for mmvae: the families ``flow`` and ``mixture``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_flows.flow import Flow, FlowPosterior
from mmvae_flows.mixture import Mixture, MixturePosterior

__all__ = ["Flow", "FlowPosterior", "Mixture", "MixturePosterior"]

mmvae_contract = 1


@hookimpl
def register_families(register: Callable[[type[Any]], None]) -> None:
    """Offer flows and mixtures."""
    register(Flow)
    register(Mixture)
