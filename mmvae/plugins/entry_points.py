"""Entry points as written by others: their distribution, their target, and errors in them."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.metadata import EntryPoint
from operator import attrgetter

from mmvae.foundations.errors import PluginError

PLUGIN_GROUP = "mmvae"
"""The entry-point group in which plugins announce themselves."""

COMMAND_ENTRIES = "mmvae.commands"
"""The entry-point group in which distributions offer commands of their own."""

FIGURE_ENTRIES = "mmvae.figures"
"""The entry-point group in which distributions offer figures of their own."""

UNKNOWN = "unknown"
"""Replacement for a name or a version that a distribution does not state."""

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
    """Check that the value of an entry point can refer to something.

    Raises:
        PluginError: It is not a ``module`` or ``module:attribute``.
    """
    if not _REFERENCE.fullmatch(entry.value.strip()):
        raise PluginError(f"its entry point {entry.name} = {entry.value!r} is no module:attribute")


def imported(entry: EntryPoint) -> object:
    """The module or object that an entry point names.

    Raises:
        PluginError: There is none. Other errors of its module pass unchanged.
    """
    try:
        module = import_module(entry.module)
    except ModuleNotFoundError as error:
        if error.name and f"{entry.module}.".startswith(f"{error.name}."):
            raise PluginError(
                f"its entry point {entry.name} = {entry.value!r} cannot be resolved: there is no "
                f"module {error.name!r}"
            ) from error
        raise
    try:
        return attrgetter(entry.attr)(module) if entry.attr else module
    except AttributeError as error:
        raise PluginError(
            f"its entry point {entry.name} = {entry.value!r} cannot be resolved: {error}"
        ) from error


def cause(error: BaseException) -> str:
    """The reason why foreign code could not be used, in one line."""
    if isinstance(error, PluginError):
        return " ".join(str(error).split())
    if isinstance(error, ModuleNotFoundError):
        return f"the module {error.name!r} that it needs is not installed"
    if isinstance(error, SystemExit):
        return f"it ends the program when it is imported (SystemExit: {error.code})"
    return " ".join(f"{type(error).__name__}: {error}".split())
