"""The house stands as docs/architecture.md draws it, and holds nothing it must not hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter import cli as importlinter

ROOT = Path(__file__).parents[1]
CORE = ROOT / "mmvae"
SHIPPED = sorted(
    path
    for folder in (CORE, ROOT / "plugins", ROOT / "benchmarks")
    for path in folder.rglob("*.py")
    if "tests" not in path.relative_to(ROOT).parts
)
TEXT = {".py", ".md", ".toml", ".txt", ".cff", ".yaml", ".json", ""}
UNPICKLERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
"""Modules whose loading runs code that the file names."""

MACHINE_PATH = re.compile(r"(?<![\w.<~-])/(home|Users|root|work|mnt|scratch|tmp)/[\w.]")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that a file imports by name, relative imports left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def loads_pickles(tree: ast.AST) -> Iterator[str]:
    """Every way in which a file could unpickle: module, ``torch.load``, numpy's switch."""
    for name in imports(tree):
        if name.split(".")[0] in UNPICKLERS:
            yield f"import {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load":
            yield "torch.load"
        if isinstance(node, ast.ImportFrom) and node.module == "torch":
            yield from (f"from torch import {a.name}" for a in node.names if a.name == "load")
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            if not (isinstance(node.value, ast.Constant) and node.value.value is False):
                yield "allow_pickle"


def test_a_room_imports_only_from_rooms_below(capsys: pytest.CaptureFixture[str]) -> None:
    failed = importlinter.lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert not failed, capsys.readouterr().out


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_unpickles(path: Path) -> None:
    assert not list(loads_pickles(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from dill import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "import numpy as np\nnp.load('x', allow_pickle=True)",
    ],
)
def test_the_search_for_unpicklers_finds_each_way(code: str) -> None:
    assert list(loads_pickles(ast.parse(code)))


DECODING = re.compile(r"\bcodecs?(\[[^]]*\])?\.(point|sample)\(")
"""A codec that makes values of a likelihood."""

UNSEEN = {"model_description.py", "smoke_test.py", "adversary.py"}
"""Files whose decoded values no user sees: trials of a codec, and losses."""


def test_values_for_users_are_decoded_where_they_are_checked() -> None:
    """By ``finite_values``, which refuses what is not finite."""
    found = {
        path.name
        for path in SHIPPED
        if path.parent != CORE / "testing" and DECODING.search(path.read_text(encoding="utf-8"))
    }
    assert found == UNSEEN


def test_the_core_imports_no_plugin() -> None:
    guests = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in CORE.rglob("*.py")
        for name in imports(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("mmvae_") or name.split(".")[0] == "sklearn"
    }
    assert not guests


def test_the_tests_of_the_core_import_no_plugin() -> None:
    guests = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        if path.parent.name != "odd"  # the whole path with the real codecs
        for name in imports(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("mmvae_")
    }
    assert not guests


NOT_YET_PUBLIC = {
    "mmvae-benchmarks": {
        "mmvae.data.fingerprints",
        "mmvae.data.item_folder",
        "mmvae.data.paths",
        "mmvae.data.pictures",
        "mmvae.data.size_bounds",
        "mmvae.data.splits",
        "mmvae.data.table",
        "mmvae.foundations",
        "mmvae.foundations.errors",
        "mmvae.foundations.json_document",
        "mmvae.foundations.lock",
        "mmvae.foundations.operations",
        "mmvae.modalities.column",
    },
    "mmvae-faces": {
        "mmvae.cli.options",
        "mmvae.experiments.config",
        "mmvae.experiments.experiment",
        "mmvae.foundations.printable",
        "mmvae.foundations.randomness",
        "mmvae.inference.model_folder",
        "mmvae.plugins.loader",
        "mmvae.report.classes",
        "mmvae.report.clouds",
        "mmvae.report.projection",
        "mmvae.runs.run",
    },
    "mmvae-images": {"mmvae.data.pictures", "mmvae.foundations"},
}
"""Plugin → rooms of the core that it still imports. Shorten this list; never lengthen it."""

DOCUMENTED = {"mmvae", "mmvae.testing", "mmvae.cli.drawing", "mmvae.report.canvas"}
"""Modules whose names docs/api.md documents for plugins."""


def test_a_plugin_imports_only_public_modules() -> None:
    found: dict[str, set[str]] = {}
    for path in SHIPPED:
        if path.is_relative_to(ROOT / "plugins"):
            for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
                if name.split(".")[0] == "mmvae" and name not in DOCUMENTED:
                    found.setdefault(path.relative_to(ROOT).parts[1], set()).add(name)
    assert found == NOT_YET_PUBLIC


def test_no_file_names_a_place_on_one_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in files
        if path.is_file() and path.suffix in TEXT and path != Path(__file__)
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not found


@pytest.mark.parametrize(
    "statement", ["import mmvae", "import mmvae; mmvae.hookimpl", "import mmvae.cli.main"]
)
def test_the_first_import_is_light(statement: str) -> None:
    heavy = ("torch", "datasets", "accelerate", "matplotlib")
    code = f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_help_of_every_command_is_light() -> None:
    """Plugins' own commands are asked too; those that only plugins of a user bring are theirs."""
    code = """
import contextlib, io, sys
import click
from mmvae.cli.main import cli, run

def helped(command, words):
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert run([*words, "--help"]) == 0, words
    assert "Usage" in shown.getvalue(), words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            helped(command.get_command(context, name), [*words, name])

helped(cli, [])
print([m for m in ("torch", "datasets", "accelerate", "pydantic", "numpy") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
