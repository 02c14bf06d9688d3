"""Warnings of plugins as the command line tells them: each once, on standard error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmvae.cli.options import leading, say
from mmvae.errors import PluginWarning


@contextmanager
def plugin_warnings() -> Iterator[None]:
    """Within the block tell a broken or slow plugin once, in one line, unless ``--quiet``."""
    told: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", PluginWarning)
        show = warnings.showwarning

        def tell(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, PluginWarning):
                show(message, category, *place, **more)
            elif str(message) not in told:
                told.add(str(message))
                if leading():
                    say(f"warning: {message}")

        warnings.showwarning = tell
        yield
