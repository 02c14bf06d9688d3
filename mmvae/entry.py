"""Entry points as others wrote them: who brings one, and whether it refers to anything."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint

from mmvae.errors import PluginError

UNKNOWN = "unknown"
"""What stands for a name or a version that a distribution does not state."""

_REFERENCE = re.compile(r"\w+(\.\w+)*\s*(:\s*\w+(\.\w+)*\s*)?(\[.*\]\s*)?")


def maker(entry: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution that brings an entry point; ``unknown`` if unstated."""
    return _stated(entry, "name"), _stated(entry, "version")


def _stated(entry: EntryPoint, field: str) -> str:
    try:
        return str(getattr(entry.dist, field, None) or UNKNOWN)
    except Exception:  # damaged metadata fail in many ways, by the version of Python
        return UNKNOWN


def require_reference(entry: EntryPoint) -> None:
    """See that the value of an entry point can refer to something.

    Raises:
        PluginError: It is no ``module`` or ``module:attribute``.
    """
    if not _REFERENCE.fullmatch(entry.value.strip()):
        raise PluginError(f"its entry point {entry.name} = {entry.value!r} is no module:attribute")
