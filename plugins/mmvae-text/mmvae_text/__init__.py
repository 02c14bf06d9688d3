"""Short texts for mmvae: the codec ``text``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmvae import hookimpl
from mmvae_text.strings import Strings
from mmvae_text.text import Text

__all__ = ["Strings", "Text"]

mmvae_contract = 1


@hookimpl
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer the text codec."""
    register(Text)
