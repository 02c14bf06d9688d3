"""Warnings of plugins on the command line: each once, on standard error."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mmvae.cli.options import leading, say, verbosity
from mmvae.foundations.errors import PluginWarning


@contextmanager
def plugin_warnings() -> Iterator[list[str]]:
    """Within the block print each warning of a broken or slow plugin once, unless ``--quiet``.

    Yields:
        The printed warnings, a list that grows.
    """
    printed: list[str] = []
    seen: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", PluginWarning)
        show = warnings.showwarning

        def print_once(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            if not issubclass(category, PluginWarning):
                show(message, category, *place, **more)
            elif str(message) not in seen:
                seen.add(str(message))
                if leading() and not verbosity().quiet:
                    printed.append(str(message))
                    say(f"warning: {message}")

        warnings.showwarning = print_once
        yield printed


def without_printed(message: str, printed: Iterable[str]) -> str:
    """An error's message without the part that a warning has already printed."""
    for warning in printed:
        complaint = warning.removeprefix("plugin ")
        who, broken, _ = complaint.partition(" is broken: ")
        if broken:
            message = message.replace(complaint, f"{who}, see the warning above.")
    return message
