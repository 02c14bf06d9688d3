"""What tests of commands share: a plugin to name in configs, and a way to run commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mmvae.cli.main import run

CONFIG = """\
[data]
source = "toybox"
root = "here"

[modalities.a]
codec = "toy"
"""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def mmvae(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """``mmvae("config", "check", path)``: run a command line in this process."""

    def call(*args: object) -> Result:
        capfd.readouterr()
        code = run([str(arg) for arg in args])
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def config(install: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config that the toy plugin, the only one beside the core, can serve."""
    install("toy-plugin", "toys")
    monkeypatch.setenv("MMVAE_PLUGINS", "toys")
    path = tmp_path / "toy.toml"
    path.write_text(CONFIG, encoding="utf-8")
    return path


TOY_TRAINING = """\
[data]
source = "toy"

[modalities.v]
codec = "toy-vector"

[modalities.c]
codec = "toy-class"

[model]
latent_dim = 2
fusion_dim = 8

[train]
epochs = 2
batch_size = 20
"""


@pytest.fixture
def training(toy_plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config, ``toy.toml`` in the working directory, that trains 6 steps in a blink."""
    path = tmp_path / "toy.toml"
    path.write_text(TOY_TRAINING, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return path
