"""Each extension point has a how-to that runs, a place in the reference, and a user of our own."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import mmvae
from mmvae import testing
from mmvae.plugins.roles import ROLES, Role
from mmvae.testing.plugin import SUITES

ROOT = Path(__file__).parents[2]
HOW_TO = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
HOOKS = [role.hook for role in ROLES.values()]
GROUPS = sorted(
    {
        group
        for path in (ROOT / "mmvae").rglob("*.py")
        for group in re.findall(
            r'^[A-Z_]*(?:GROUP|ENTRIES) = "(mmvae\.[a-z]+)"', path.read_text("utf-8"), re.MULTILINE
        )
    }
)
"""Entry-point groups, beside ``mmvae`` itself, that the core reads."""


def section(point: str) -> str:
    """The section of the how-to whose heading names an extension point."""
    found = re.search(rf"^## [^\n]*`{re.escape(point)}`\n(.*?)(?=^## |\Z)", HOW_TO, re.M | re.S)
    assert found, f"docs/extending.md has no section whose heading names `{point}`"
    return found[1]


def blocks(point: str) -> str:
    """The Python of that section, which ``test_documents.py`` runs."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", section(point), re.M | re.S))


def entries(group: str) -> Iterator[tuple[Path, str]]:
    """Module files that our own distributions name in an entry-point group, with the names."""
    for project in [ROOT / "pyproject.toml", *(ROOT / "plugins").glob("*/pyproject.toml")]:
        table = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        for name, value in table.get("entry-points", {}).get(group, {}).items():
            module = project.parent.joinpath(*value.split(":")[0].split("."))
            yield (module / "__init__.py" if module.is_dir() else module.with_suffix(".py")), name


@pytest.mark.parametrize("role", ROLES.values(), ids=str)
def test_a_hook_says_what_to_register_and_stands_in_the_architecture(role: Role) -> None:
    text = role.specification().__doc__ or ""
    assert text.startswith("Offer ")
    assert f"call ``register({role}_class)`` once for each subclass of" in text
    assert getattr(mmvae, role.base.__name__) is role.base, "the documentation names it so"
    architecture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"* `{role.hook}`: " in architecture


def test_every_hook_stands_in_the_reference(monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    made = import_module("hook_reference").sections(ROLES.values())
    for role, section in zip(ROLES.values(), made, strict=True):
        assert f".. py:function:: {role.hook}(register: " in section
        assert role.about in section
    assert "```{hook-reference}\n```" in (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_how_to_that_is_run(hook: str) -> None:
    assert re.search(rf"@(mmvae\.)?hookimpl\ndef {hook}\(", blocks(hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_is_used_by_a_plugin_of_our_own(hook: str) -> None:
    marked = rf"@(mmvae\.)?hookimpl\ndef {hook}\("
    users = [n for file, n in entries("mmvae") if re.search(marked, file.read_text("utf-8"))]
    assert users, f"no first-party plugin implements {hook}"


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_entry_points_has_a_how_to_that_is_run(group: str) -> None:
    assert "@click.command()" in blocks(group)
    assert f'[project.entry-points."{group}"]' in HOW_TO


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_of_entry_points_is_used_by_a_plugin_of_our_own(group: str) -> None:
    assert list(entries(group)), f"no first-party plugin has an entry point of {group}"


def test_what_is_looked_for_is_found() -> None:
    assert "register_codecs" in HOOKS
    assert {"mmvae.commands", "mmvae.figures"} <= set(GROUPS)
    with pytest.raises(AssertionError, match="no section whose heading names `register_dreams`"):
        section("register_dreams")


def test_every_role_has_a_suite_that_is_documented() -> None:
    """So that a new hook comes with checks of what it takes."""
    assert SUITES.keys() == ROLES.keys()
    reference = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in testing.__all__:
        if name.endswith("Contract") and name != "Contract":
            assert f"mmvae.testing.{name}" in HOW_TO
            assert f".. autoclass:: mmvae.testing.{name}\n" in reference


def test_our_own_plugins_state_their_version_of_the_contract() -> None:
    files = [file for file, _ in entries("mmvae") if file.is_relative_to(ROOT / "plugins")]
    assert files
    for file in files:
        assert re.search(r"^mmvae_contract = \d+$", file.read_text("utf-8"), re.M), file
