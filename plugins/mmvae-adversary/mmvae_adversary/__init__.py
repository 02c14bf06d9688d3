"""An adversary for one modality of any model: ``[adversary] modality = "image"``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_adversary.adversary import Adversary
from mmvae_adversary.config import AdversaryConfig
from mmvae_adversary.critic import Critic, HasCritic

__all__ = ["Adversary", "AdversaryConfig", "Critic", "HasCritic"]

mmvae_contract = 1


@hookimpl
def register_extensions(register: Callable[[type[Any]], None]) -> None:
    """Offer the adversary."""
    register(Adversary)
