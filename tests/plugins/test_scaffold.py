"""A new distribution is whole, keeps the contract and trains as it is written."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest
from toys import toy_registry

import mmvae
from mmvae import UsageError
from mmvae.data.table import TableSource
from mmvae.foundations import operations
from mmvae.foundations.errors import TrainingError
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.plugin_info import PluginInfo
from mmvae.plugins.registry import Registry
from mmvae.plugins.scaffold import write_distribution
from mmvae.testing import verdicts


@pytest.fixture
def folder(tmp_path):
    return write_distribution(tmp_path, "mmvae-angles", "angle", Registry.of())


@pytest.fixture
def module(folder, monkeypatch):
    """The distribution's module; also the registered class."""
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "mmvae_angles", raising=False)
    return importlib.import_module("mmvae_angles")


def test_every_file_is_there_and_nothing_is_left_open(folder, tmp_path):
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files == {
        ".gitignore",
        "README.md",
        "example.csv",
        "example.toml",
        "mmvae_angles.py",
        "pyproject.toml",
        "tests/test_mmvae_angles.py",
    }
    assert [p.name for p in tmp_path.iterdir()] == ["mmvae-angles"]
    for name in files:
        assert "$" not in (folder / name).read_text(encoding="utf-8")
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert project["project"]["name"] == "mmvae-angles"
    assert project["project"]["entry-points"] == {"mmvae": {"angles": "mmvae_angles"}}


def test_its_test_passes_and_tries_every_check(folder, module, monkeypatch):
    names: dict = {"__name__": "test"}
    exec((folder / "tests/test_mmvae_angles.py").read_text(encoding="utf-8"), names)
    found = verdicts(names["TestAngle"]())
    assert {v.check: v.reason for v in found if v.state != "kept"} == {}


def test_its_example_trains_and_its_codec_names_what_it_refuses(folder, module, monkeypatch):
    monkeypatch.chdir(folder)
    offered: list = []
    module.register_codecs(offered.append)
    registry = Registry.of(codecs=offered, sources=[TableSource], models=[JMVAE])
    result = mmvae.train(
        "example.toml", overrides=["train.epochs=2", "train.device=cpu"], registry=registry
    )
    assert result.outcome == "finished"
    with pytest.raises(mmvae.UnsupportedValue, match="row 1: got inf, expected a finite number"):
        module.Angle(module.Angle.Config()).prepare(mmvae.Column([0.0, float("inf")]))


def test_ruff_finds_nothing(folder):
    pytest.importorskip("ruff")
    for task in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *task, "--no-cache", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["codec", "d3", "a-name.as_long-as-they-may-be-in-all"])
def test_any_kind_makes_a_class_that_ruff_takes(tmp_path, kind):
    pytest.importorskip("ruff")
    folder = write_distribution(
        tmp_path, "mmvae-a-name-as-long-as-they-may-be-here", kind, Registry.of()
    )
    code = next(folder.glob("*.py")).read_text(encoding="utf-8")
    compile(code, "module", "exec")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("Angles", "angle", "no name for a distribution: expected lower-case"),
        ("mmvae_angles", "angle", "no name for a distribution"),
        ("../angles", "angle", "no name for a distribution"),
        ("", "angle", "no name for a distribution"),
        ("a" * 41, "angle", "40 characters at most"),
        ("mmvae", "angle", "'mmvae' is taken: a module 'mmvae' is installed already"),
        ("numpy", "angle", "'numpy' is taken: a module 'numpy' is installed already"),
        ("json", "angle", "the module 'json' exists already"),
        ("class", "angle", "the module 'class' exists already"),
        ("mmvae-angles", "An angle", "no name for a codec"),
        ("mmvae-angles", "3d", "no name for a codec"),
    ],
)
def test_bad_names_are_refused_and_nothing_is_written(tmp_path, name, kind, said):
    with pytest.raises(UsageError, match=said):
        write_distribution(tmp_path, name, kind, Registry.of())
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mmvae-angles").mkdir()
    with pytest.raises(UsageError, match="exists already: choose another name"):
        write_distribution(tmp_path, "mmvae-angles", "angle", Registry.of())
    assert not list((tmp_path / "mmvae-angles").iterdir())


@pytest.mark.parametrize("operation", ["write", "rename"])
def test_a_disk_that_fails_leaves_nothing_half_written(tmp_path, monkeypatch, operation):
    def fail(done, *paths):
        if done == operation:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(operations, "fault", fail)
    with pytest.raises(TrainingError, match=r"No space left on device\. Free space"):
        write_distribution(tmp_path, "mmvae-angles", "angle", Registry.of())
    assert not list(tmp_path.iterdir())


def test_words_that_installed_plugins_use_are_refused(tmp_path):
    installed = replace(
        toy_registry(), plugins=[*toy_registry().plugins, PluginInfo("shapes", "my-shapes", "1.2")]
    )
    with pytest.raises(UsageError, match=r"called 'shapes', as is that of my-shapes 1\.2"):
        write_distribution(tmp_path, "mmvae-shapes", "shape", installed)
    with pytest.raises(UsageError, match="--codec toy-class is taken by plugin memory"):
        write_distribution(tmp_path, "mmvae-classes", "toy-class", installed)
    assert not list(tmp_path.iterdir())
