"""Every command and every Python block of the documents runs as it is printed.

CONTRIBUTING.md, "Documents are tested", states the conventions. One test runs one document, top to
bottom, in a folder of its own.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    + list((ROOT / "docs").glob("*.md"))
    + list((ROOT / "plugins").glob("*/README.md"))
)
STEPS = 5
NOT_RUN = {"cd", "git", "pip", "python", "python3", "source", "tensorboard"}
"""Programs that documents may name and that the tests leave alone."""

FENCE = re.compile(r"^([ \t]*)(`{3,})([^\n`]*)\n(.*?)^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
OPERATORS = {"&&", ";", "|", ">", "<"}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the line where the text begins."""

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Command:
    """One command of a shell block, with what it reads from and writes to."""

    words: list[str]
    environment: dict[str, str]
    stdin: str | None = None
    stdout: str | None = None


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a Markdown document, in order."""
    return [
        Block(
            match[3].strip(),
            textwrap.dedent(match[4]),
            document.count("\n", 0, match.start()) + 2,
        )
        for match in FENCE.finditer(document)
    ]


def commands(block: Block) -> Iterator[Command]:
    """The commands of a ``console`` block (lines after ``$``) or of an ``sh`` block (all)."""
    joined = block.text.replace("\\\n", " ")
    for line in joined.splitlines():
        if block.language == "console":
            if not line.startswith("$ "):
                continue  # output
            line = line[2:]
        lexer = shlex.shlex(line, posix=True, punctuation_chars="&;|<>")
        lexer.whitespace_split = True
        yield from _commands(list(lexer))


def _commands(tokens: list[str]) -> Iterator[Command]:
    """Split one line at ``&&`` and ``;``; what follows a ``|`` is left out."""
    while tokens:
        end = next((i for i, t in enumerate(tokens) if t in ("&&", ";")), len(tokens))
        part, tokens = tokens[:end], tokens[end + 1 :]
        part = part[: part.index("|")] if "|" in part else part
        target = {op: part[part.index(op) + 1] for op in ("<", ">") if op in part}
        words = part[: next((i for i, t in enumerate(part) if t in OPERATORS), len(part))]
        environment = {}
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            name, environment[name] = words[0].split("=", 1)[0], words.pop(0).split("=", 1)[1]
        if words:
            yield Command(words, environment, target.get("<"), target.get(">"))


def mmvae_arguments(words: list[str]) -> list[str] | None:
    """The arguments if this is ``mmvae …`` or ``… -m mmvae …``, else None."""
    if Path(words[0]).name == "mmvae":
        return words[1:]
    for i in range(1, len(words)):
        if words[i - 1 : i + 1] == ["-m", "mmvae"]:
            return words[i + 1 :]
    return None


def limited(arguments: list[str], cli: click.Command) -> list[str]:
    """The arguments, with ``--max-steps`` added where the command has it and they do not."""
    command, context = cli, click.Context(cli)
    for word in arguments:
        child = command.get_command(context, word) if isinstance(command, click.Group) else None
        command = child or command
    known = any("--max-steps" in parameter.opts for parameter in command.params)
    helps = "--help" in arguments or "--max-steps" in arguments
    return [*arguments, "--max-steps", str(STEPS)] if known and not helps else arguments


def run_command(command: Command, patch: pytest.MonkeyPatch) -> None:
    """Run one command of a document in the current folder."""
    arguments = mmvae_arguments(command.words)
    if arguments is None:
        run_other_program(command.words, patch)
        return
    from mmvae.cli.main import cli

    stdin = Path(command.stdin).read_text(encoding="utf-8") if command.stdin else None
    with patch.context() as inner:
        for name, value in command.environment.items():
            inner.setenv(name, value)
        result = CliRunner().invoke(
            cli, limited(arguments, cli), input=stdin, prog_name="mmvae", standalone_mode=False
        )
    said = f"{shlex.join(command.words)}: {result.exception}\n{result.output}"
    if result.exception:
        raise AssertionError(said) from result.exception
    assert result.return_value in (None, 0), said
    if command.stdout:
        Path(command.stdout).write_text(result.stdout, encoding="utf-8")


def run_other_program(words: list[str], patch: pytest.MonkeyPatch) -> None:
    """Run what a document does with a distribution that it made; pass over the rest."""
    if words[0] == "cd" and Path(words[1]).is_dir():
        patch.chdir(words[1])
    elif words[:2] == ["pip", "install"] and Path("pyproject.toml").is_file():
        install_here(patch)
    elif words[0] in ("pytest", "ruff"):
        done = subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)
        assert done.returncode == 0, f"{shlex.join(words)}:\n{done.stdout}{done.stderr}"
    else:
        check_other_program(words)


def install_here(patch: pytest.MonkeyPatch) -> None:
    """Let the distribution in the current folder be installed, as ``pip install -e .`` would."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    site = Path.cwd() / ".site"
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = (
        [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
        for group, entries in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text("\n".join(line for part in lines for line in part))
    for folder in (site, Path.cwd()):
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)


def check_other_program(words: list[str]) -> None:
    """Accept programs that tests leave alone, and ``make`` with targets that exist."""
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in (word for word in words[1:] if "=" not in word):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"no target {target}"
        return
    assert Path(words[0]).name in NOT_RUN, (
        f"{shlex.join(words)}: documents are run, and the tests do not know {words[0]!r}; put it "
        f"in a `text` block or into NOT_RUN"
    )


def check_toml(block: Block) -> None:
    """Check a TOML block."""
    from mmvae.experiments.config import load_experiment

    table = tomllib.loads(block.text)
    if {"data", "modalities"} <= set(table):
        load_experiment(table)


def kept(block: Block) -> bool:
    """Save a block that begins with ``# file: NAME`` under that name, if it does."""
    named = re.match(r"# file: (\S+)\n", block.text)
    if named:
        Path(named[1]).write_text(block.text, encoding="utf-8")
        sys.modules.pop(Path(named[1]).stem, None)  # a module that was imported before
    return named is not None


def run_document(path: Path, patch: pytest.MonkeyPatch) -> None:
    """Run the blocks of one document, top to bottom, in the current folder."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language in ("console", "sh"):
            for command in commands(block):
                run_command(command, patch)
        elif block.language == "python" and not kept(block):
            code = "\n" * (block.line - 1) + block.text  # tracebacks name the document's lines
            exec(compile(code, str(path), "exec"), namespace)
        elif block.language == "toml":
            check_toml(block)
            kept(block)


@pytest.fixture(scope="session")
def made_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data that documents speak of, in small: ``mnist/`` with four IDX files."""
    folder = tmp_path_factory.mktemp("data")
    mnist = folder / "mnist"
    mnist.mkdir()
    noise = np.random.default_rng(0)
    # The paper's validation images begin at 50,000, so there must be a few more than that.
    for name, count in (("train", 50_100), ("t10k", 50)):
        labels = noise.integers(0, 10, count, dtype=np.uint8)
        images = np.zeros((count, 28, 28), np.uint8)
        images[np.arange(count), labels * 2, 4:24] = 255  # a bar whose height tells the class
        write_idx(mnist / f"{name}-images-idx3-ubyte", images)
        write_idx(mnist / f"{name}-labels-idx1-ubyte", labels)
    return folder


def write_idx(path: Path, array: np.ndarray[Any, Any]) -> None:
    """Write uint8 values as an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


@pytest.fixture
def folder(tmp_path: Path, made_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a document runs in: ``examples/`` as they are, ``data/`` made."""
    if (ROOT / "examples").is_dir():
        shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "data").mkdir()
    for made in made_data.iterdir():  # beside which a document may make data of its own
        (tmp_path / "data" / made.name).symlink_to(made)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``mmvae.train`` in Python blocks stop early, as the command does."""
    import mmvae.experiments.train

    full: Callable[..., Any] = mmvae.experiments.train.train

    @functools.wraps(full)
    def train(*args: Any, **kwargs: Any) -> Any:
        return full(*args, **{"max_steps": STEPS, **kwargs})

    monkeypatch.setattr(mmvae.experiments.train, "train", train)


@pytest.mark.usefixtures("short_training")
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_document_runs_as_printed(
    path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = {distribution.name for distribution in distributions()}
    lacking = {p.parent.name for p in (ROOT / "plugins").glob("*/pyproject.toml")} - installed
    if lacking:
        pytest.skip(f"documents use every first-party plugin; not installed: {sorted(lacking)}")
    before = set(sys.modules)
    run_document(path, monkeypatch)
    for name in set(sys.modules) - before:  # modules that the document wrote
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_commands_are_read_from_shell_blocks() -> None:
    text = "$ A=1 mmvae train x.toml \\\n    -s train.epochs=2 && mmvae info > info.txt\noutput\n"
    assert list(commands(Block("console", text, 1))) == [
        Command(["mmvae", "train", "x.toml", "-s", "train.epochs=2"], {"A": "1"}),
        Command(["mmvae", "info"], {}, stdout="info.txt"),
    ]
    lines = "# why\nmmvae config show - < a.toml | head\n"
    assert list(commands(Block("sh", lines, 1))) == [
        Command(["mmvae", "config", "show", "-"], {}, stdin="a.toml")
    ]


def test_blocks_have_their_language_and_line() -> None:
    document = "# T\n\n* a:\n\n  ```python\n  x = 1\n  ```\n\n```{note}\ny\n```\n"
    assert blocks(document) == [Block("python", "x = 1\n", 6), Block("{note}", "y\n", 10)]


def test_launchers_lead_to_the_same_arguments() -> None:
    words = shlex.split("torchrun --nproc-per-node 2 -m mmvae train x.toml")
    assert mmvae_arguments(words) == ["train", "x.toml"]
    assert mmvae_arguments(["pip", "install", "mmvae"]) is None


def test_an_unknown_program_fails() -> None:
    with pytest.raises(AssertionError, match="NOT_RUN"):
        check_other_program(["rm", "-rf", "runs"])
    with pytest.raises(AssertionError, match="no target"):
        check_other_program(["make", "coffee"])
