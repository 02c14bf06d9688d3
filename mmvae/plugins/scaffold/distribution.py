"""A new distribution with one codec, from templates: written completely or not at all."""

from __future__ import annotations

import keyword
import os
import random
import re
import sys
from importlib import resources
from importlib.machinery import PathFinder
from pathlib import Path
from string import Template

from mmvae import __version__
from mmvae.foundations import staging, storage
from mmvae.foundations.errors import UsageError
from mmvae.plugins.registry import Registry

FILES = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "{module}.py": "module.py.txt",
    "tests/test_{module}.py": "test.py.txt",
    "example.toml": "example.toml.txt",
    ".gitignore": "gitignore.txt",
}
"""File of the distribution → its template."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_KIND = re.compile(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*")
_LONGEST = 40  # lines of the templates stay short enough for any name
_TAKEN = {"Any", "Callable", "Codec", "Column", "Distribution", "Examples", "Field"} | {
    "Independent",
    "Normal",
    "Parameters",
    "PositiveInt",
    "Tensor",
}
"""The imports of the module: names that its class cannot have."""

_ITEMS = 500


def write_distribution(out: Path, name: str, kind: str, installed: Registry) -> Path:
    """Write the distribution ``name`` with the codec ``kind`` and return its folder, ``out/name``.

    Args:
        out: The parent folder; created if it does not exist.
        name: The distribution's name for pip.
        kind: The codec's word in TOML.
        installed: The plugins that it must not clash with.

    Raises:
        UsageError: A name is in use or invalid, or the folder exists.
        TrainingError: The system refused; nothing is left behind.
    """
    _check_names(name, kind)
    _check_free(name, kind, installed)
    folder = out / name
    if os.path.lexists(folder):
        raise UsageError(
            f"{folder} exists already: choose another name, or another place with --out."
        )
    words = _words(name, kind)
    storage.make_folder(out)
    with staging.staged_folder(folder) as staged:
        (staged / "tests").mkdir()
        for path, template in FILES.items():
            text = Template(_template(template)).substitute(words)
            storage.put(staged / path.format_map(words), text.encode())
        storage.put(staged / "example.csv", _example().encode())
    return folder


def _check_names(name: str, kind: str) -> None:
    """Refuse names that pip, Python or a config cannot take.

    Raises:
        UsageError: The message says what was expected.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{name!r} is no name for a distribution: expected lower-case letters and digits in "
            f"parts joined by '-', {_LONGEST} characters at most, such as mmvae-angles."
        )
    module = _module(name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        raise UsageError(
            f"{name!r} is no name for a distribution: the module {module!r} exists already. "
            f"Choose another, such as mmvae-{name}."
        )
    if not _KIND.fullmatch(kind) or len(kind) > _LONGEST:
        raise UsageError(
            f"{kind!r} is no name for a codec: expected lower-case letters and digits in parts "
            f"joined by '-', '_' or '.', {_LONGEST} characters at most, such as angle."
        )


def _check_free(name: str, kind: str, installed: Registry) -> None:
    """Refuse names that clash with something installed.

    Raises:
        UsageError: The message names it.
    """
    module, plugin = _module(name), _plugin(name)
    if PathFinder.find_spec(module) is not None:
        raise UsageError(
            f"{name!r} is taken: a module {module!r} is installed already. Choose another name."
        )
    owner = next((p for p in installed.plugins if p.name == plugin), None)
    if owner is not None:
        raise UsageError(
            f"{name!r} is taken: its plugin would be called {plugin!r}, as is that of "
            f"{owner.distribution} {owner.version}. Choose another name."
        )
    if kind in installed.kinds("codec"):
        raise UsageError(
            f"--codec {kind} is taken by plugin {installed.provider('codec', kind)}, and two may "
            f"not offer one word. Choose another."
        )


def _words(name: str, kind: str) -> dict[str, str]:
    """The values of the templates' placeholders."""
    capitals = "".join(part.capitalize() for part in re.split("[-_.]", kind))
    return {
        "distribution": name,
        "module": _module(name),
        "plugin": _plugin(name),
        "kind": kind,
        "codec": f"{capitals}Codec" if capitals in _TAKEN else capitals,
        "version": __version__,
    }


def _module(name: str) -> str:
    return name.replace("-", "_")


def _plugin(name: str) -> str:
    return name.removeprefix("mmvae-")


def _template(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text(encoding="utf-8")


def _example() -> str:
    """Items with two numbers each, noisy copies of a hidden one in (−3, 3)."""
    draw = random.Random(0)
    rows = ["one,two"]
    for _ in range(_ITEMS):
        hidden = draw.uniform(-2.8, 2.8)
        rows.append(",".join(f"{hidden + draw.uniform(-0.2, 0.2):.4f}" for _ in range(2)))
    return "\n".join(rows) + "\n"
