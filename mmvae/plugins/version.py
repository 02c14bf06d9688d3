"""The versions of the plugin contract: the one of this release, and the changes of each.

A plugin's module states the version that it was written for, as a literal number::

    mmvae_contract = 1

It is read from the source before the module is imported, so that a plugin of another version gets
a list of changes instead of a failure in the middle. A module without one counts as written for
the first version.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from typing import Any, Literal

from mmvae import __version__
from mmvae.foundations.errors import PluginError

VERSION = 1
"""The version of the contract in this release."""

STATEMENT = "mmvae_contract"
"""The name by which a plugin's module states the version it was written for."""


@dataclass(frozen=True)
class Change:
    """One change of a version of the contract.

    Attributes:
        how: ``added``, ``changed`` or ``removed``.
        what: The name concerned, as it is reached from ``mmvae`` or from a plugin's module.
        to_do: What a plugin's author does about it.
    """

    how: Literal["added", "changed", "removed"]
    what: str
    to_do: str

    def __str__(self) -> str:
        return f"{self.how} {self.what}: {self.to_do}"


CHANGES: Mapping[int, tuple[Change, ...]] = {
    1: (
        Change(
            "changed",
            "Codec.fit",
            "its column may be unread; take rows, then column.read()",
        ),
        Change(
            "changed",
            "Codec.missing",
            "it is also the fill value of single cells that are not observed",
        ),
        Change(
            "changed",
            "Model.likelihood",
            "it takes the given modalities as a last argument, given=None",
        ),
        Change(
            "changed",
            "Model.log_likelihood",
            "it takes observed=None and given=None as last arguments",
        ),
        Change(
            "added",
            STATEMENT,
            "the plugin's module states the version it was written for: mmvae_contract = 1",
        ),
    ),
}
"""Version → its changes since the previous one. Version 0 is the drafts before the first."""


def check_version(stated: int | None, distribution: str) -> None:
    """Refuse a plugin that was written for another version of the contract.

    Args:
        stated: The version that its module states, None if it states none.
        distribution: The plugin's distribution.

    Raises:
        PluginError: The message lists the changes since, or names what to upgrade.
    """
    written_for = 1 if stated is None else stated
    if written_for > VERSION:
        raise PluginError(
            f"it is written for version {written_for} of the plugin contract; mmvae {__version__} "
            f"supports version {VERSION}. Upgrade mmvae: pip install --upgrade mmvae"
        )
    if written_for < VERSION:
        changes = "; ".join(
            f"{change}"
            for version in range(written_for + 1, VERSION + 1)
            for change in CHANGES[version]
        )
        raise PluginError(
            f"it is written for version {written_for} of the plugin contract; mmvae {__version__} "
            f"supports version {VERSION}. Upgrade it: pip install --upgrade {distribution}. "
            f"Changes for its authors: {changes}"
        )


def stated_version(entry: EntryPoint) -> int | None:
    """The version stated by the module of an entry point, read without running that module.

    Returns:
        The number, or None if the module states none or has no source to read.

    Raises:
        PluginError: The stated version is not a literal number.
    """
    for node in _statements(entry.module):
        if isinstance(node, ast.AnnAssign):
            targets: list[Any] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        if not any(isinstance(t, ast.Name) and t.id == STATEMENT for t in targets):
            continue
        value = node.value.value if isinstance(node.value, ast.Constant) else None
        if type(value) is not int or value < 0:
            written = "nothing" if node.value is None else ast.unparse(node.value)
            raise PluginError(
                f"its module {entry.module} states {STATEMENT} = {written}; expected a number "
                f"written out, such as {STATEMENT} = {VERSION}, since it is read before the "
                f"module is imported"
            )
        return value
    return None


def _statements(module: str) -> list[ast.stmt]:
    """The top level of a module's source; empty if there is none to read."""
    try:
        spec = find_spec(module)  # imports packages above the module, not the module
    except ModuleNotFoundError:  # its import will say so
        return []
    loader: Any = None if spec is None else spec.loader
    if spec is None or not hasattr(loader, "get_source"):
        return []
    return ast.parse(loader.get_source(module) or "", spec.origin or module).body
