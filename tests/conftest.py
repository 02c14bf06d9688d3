"""What tests of several rooms share: distributions that exist for one test only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from mmvae.models.base import ModelConfig
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.registry import Registry

TOY = """
import mmvae
from pydantic import Field

mmvae_contract = 1


class ToyConfig(mmvae.CodecConfig):
    size: int = Field(4, ge=1, description="Cells.")
    scale: float | None = Field(None, gt=0, description="Divisor.")


class Toy(mmvae.Codec):
    kind = "toy"
    Config = ToyConfig
    event_shape = (4,)
    feature_dim = 4

    def prepare(self, column): ...
    def encoder(self): ...
    def decoder(self, input_dim): ...
    def likelihood(self, parameters): ...
    def point(self, likelihood): ...
    def restore(self, x): ...
    def parse(self, text): ...


class ToyBoxConfig(mmvae.SourceConfig):
    root: str = Field(description="Folder of the toys.")


class ToyBox(mmvae.Source):
    kind = "toybox"
    Config = ToyBoxConfig

    def splits(self): ...
    def fingerprint(self): ...


@mmvae.hookimpl
def register_codecs(register):
    register(Toy)


@mmvae.hookimpl
def register_sources(register):
    register(ToyBox)
"""
"""A sound plugin that offers the codec ``toy`` and the source ``toybox``."""

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path, empty at first."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.fixture
def install(site: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install(distribution, name, code)``: a plugin with one module and one entry point."""

    def install(distribution: str, name: str, code: str = TOY, group: str = "mmvae") -> None:
        module = distribution.replace("-", "_")
        (site / f"{module}.py").write_text(code, encoding="utf-8")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n", encoding="utf-8"
        )
        attribute = "" if group == "mmvae" else ":command"
        with (info / "entry_points.txt").open("a", encoding="utf-8") as file:
            file.write(f"[{group}]\n{name} = {module}{attribute}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


class ToyModelConfig(ModelConfig):
    alpha: float = Field(0.1, ge=0, description="Weight.")
    subsets: bool | list[str] = Field(True, description="Family.")


class ToyModel(JMVAE):
    kind = "jmvae"
    Config = ToyModelConfig


@pytest.fixture(scope="session")
def toys() -> Registry:
    """A registry in memory: codec ``toy``, source ``toybox``, and a model of the default kind."""
    names: dict[str, Any] = {"__name__": "toys"}
    exec(TOY, names)
    return Registry.of(codecs=[names["Toy"]], sources=[names["ToyBox"]], models=[ToyModel])


@pytest.fixture
def toy_plugin(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``tests/toys.py`` as the only plugin beside the core, here and in subprocesses."""
    info = site / "mmvae_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmvae-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mmvae]\ntoys = toys\n")
    paths = [str(site), str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.setenv("MMVAE_PLUGINS", "toys")


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the modalities v, c and p (a picture of w); tests must not change it."""
    from toys import toy_config, toy_registry

    import mmvae

    config = toy_config(
        modalities={
            "v": {"codec": "toy-vector"},
            "c": {"codec": "toy-class"},
            "p": {"codec": "toy-picture", "column": "w"},
        },
        train={"epochs": 30, "learning_rate": 1e-2},
    )
    folder = tmp_path_factory.mktemp("runs") / "toy"
    mmvae.train(config, run_dir=folder, registry=toy_registry())
    return folder
