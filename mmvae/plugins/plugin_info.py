"""One plugin and its state: what it offers, or why it is broken or disabled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmvae.plugins.offer import Offer

State = Literal["ok", "broken", "disabled"]

SLOW_S = 5.0
"""Seconds of importing after which a plugin is called slow."""


@dataclass(frozen=True)
class PluginInfo:
    """One plugin and its state.

    Attributes:
        name: Name of the entry point; ``MMVAE_PLUGINS`` takes it, or the distribution's.
        distribution: The installed distribution that brings it.
        version: That distribution's version.
        state: ``ok``, ``broken`` or ``disabled``.
        offers: What it registered; of a broken plugin, what it had registered before it failed.
        error: Why it is broken or disabled, in one line; empty if ok.
        traceback: The full traceback of a broken plugin; empty otherwise.
        contract: The version of the plugin contract that it states; None if it states none.
        seconds: How long its import took.
    """

    name: str
    distribution: str
    version: str
    state: State = "ok"
    offers: tuple[Offer, ...] = ()
    error: str = ""
    traceback: str = ""
    contract: int | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"

    @property
    def warning(self) -> str:
        """The warning that users see although nothing needs the plugin; empty for none."""
        if self.state == "broken":
            return f"plugin {self.complaint}"
        if self.seconds > SLOW_S:
            return (
                f"plugin {self} took {self.seconds:.0f} s to import, as it will with every "
                f"command. MMVAE_DISABLE_PLUGINS={self.name} leaves it out; its authors can "
                f"import large modules inside the functions that use them."
            )
        return ""

    @property
    def complaint(self) -> str:
        """Who is broken or disabled and why, and how to repair it."""
        if self.state == "disabled":
            return f"{self} is disabled: {self.error}."
        return (
            f"{self} is broken: {self.error.rstrip('.')}. Repair it (pip install --upgrade "
            f"{self.distribution}), uninstall it, or leave it out with "
            f"MMVAE_DISABLE_PLUGINS={self.name}; `mmvae plugins list --traceback` shows more."
        )
