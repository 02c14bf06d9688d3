"""Each first-party plugin's README states its likelihood, its options, and a config that runs."""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from pydantic import BaseModel

from mmvae.data.generator import MakerConfig
from mmvae.data.source import SourceConfig
from mmvae.evaluation.metric import MetricConfig
from mmvae.modalities.codec_config import CodecConfig
from mmvae.models.base import ModelConfig
from mmvae.models.extension import ExtensionConfig
from mmvae.plugins.loader import load_registry
from mmvae.plugins.offer import Offer
from mmvae.training.observer import ObserverConfig

ROOT = Path(__file__).parents[2]
READMES = sorted((ROOT / "plugins").glob("*/README.md"))
EVERYBODYS = {
    key
    for config in (
        CodecConfig,
        SourceConfig,
        MakerConfig,
        ModelConfig,
        ExtensionConfig,
        MetricConfig,
        ObserverConfig,
    )
    for key in config.model_fields
}
EQUATION = re.compile(r"^    .*(p\(.*\) = |p\(.*\)\s*~|~ p\(|L = |minimises).*", re.MULTILINE)


def offers(distribution: str) -> list[Offer]:
    """What the installed distribution of this name offers."""
    if distribution not in {found.name for found in distributions()}:
        pytest.skip(f"{distribution} is not installed")
    plugins = [p for p in load_registry(warn=False).plugins if p.distribution == distribution]
    return [offer for plugin in plugins for offer in plugin.offers]


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_a_likelihood_or_what_is_trained_is_an_equation(path: Path) -> None:
    roles = {offer.role for offer in offers(path.parent.name)}
    if roles & {"codec", "model", "extension"}:
        assert EQUATION.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_every_option_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for offer in offers(path.parent.name):
        config: type[BaseModel] = offer.offered.Config
        assert f"`{offer.kind}`" in text or f"[{offer.kind}]" in text
        unnamed = {
            key
            for key in config.model_fields
            if key not in EVERYBODYS and not re.search(rf"^\|[^|]*`{key}`", text, re.MULTILINE)
        }
        assert not unnamed, f"{offer}: no row of a table names {sorted(unnamed)}"


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_a_config_is_trained(path: Path) -> None:
    """``test_documents.py`` runs it."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^```toml\n# file: (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    configs = [
        name for name, block in blocks if {"data", "modalities"} <= set(tomllib.loads(block))
    ]
    assert any(f"$ mmvae train {name}" in text for name in configs)
