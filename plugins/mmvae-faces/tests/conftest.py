"""Fixtures: a model whose answers are known, a small run of drawn faces, a way to run commands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from mmvae_attributes import SignedAttributes
from mmvae_faces import FaceModel
from mmvae_images import GaussianConvImage
from torch import Tensor

import mmvae
from mmvae import DiagonalGaussian, Model, ModelConfig, Phase, Terms, TrainedModel
from mmvae.cli.main import run

NAMES = ("Smiling", "Male", "Young", "Bald", "Mouth_Slightly_Open", "Eyeglasses")
SIZE, LATENT = 4, 3


class LinearFaces(Model):
    """Means that are linear maps: z = w·A or x·B, picture z·C, attributes tanh(z·D)."""

    kind = "linear-faces"
    Config = ModelConfig
    latent_dim = LATENT

    def __init__(self, codecs: Mapping[str, Any]) -> None:
        super().__init__(ModelConfig(), codecs)
        source = torch.Generator().manual_seed(0)

        def weights(rows: int, columns: int) -> torch.nn.Parameter:
            return torch.nn.Parameter(torch.randn(rows, columns, generator=source) / rows)

        self.a, self.b = weights(len(NAMES), LATENT), weights(3 * SIZE**2, LATENT)
        self.c, self.d = weights(LATENT, 3 * SIZE**2), weights(LATENT, len(NAMES))
        self.log_variance = torch.nn.Parameter(torch.tensor([0.0, -1.0, 1.0]))

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        ((m, value),) = observed.items()
        mean = value.flatten(1) @ (self.a if m == "traits" else self.b)
        return DiagonalGaussian(mean, self.log_variance.expand_as(mean))

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        if modality == "traits":
            return z @ self.d
        return (z @ self.c).unflatten(1, (3, SIZE, SIZE))

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        return DiagonalGaussian.standard(torch.zeros(b, LATENT))

    def supports(self, targets: Any, given: Any, proposal: Any) -> str | None:
        return None

    def phases(self) -> list[Phase]:
        return [Phase("linear", list(self.parameters()))]

    def objective(self, *args: Any) -> Terms:
        raise NotImplementedError


@pytest.fixture
def linear() -> FaceModel:
    """The linear model, of a picture ``photo`` and the attributes ``traits``."""
    shape = {"shape": [3, SIZE, SIZE], "dtype": "uint8"}
    config = GaussianConvImage.Config(channels_hidden=(4,), dense=4)
    codecs = {
        "traits": SignedAttributes(SignedAttributes.Config(), {"names": list(NAMES)}),
        "photo": GaussianConvImage(config, shape),
    }
    trained = TrainedModel(LinearFaces(codecs), {m: m for m in codecs})
    return FaceModel.of(trained)


CONFIG = """\
name = "small"

[data]
source = "celeba"
root = {root!r}
crop = "centre"
size = 16

[modalities.image]
codec = "gaussian-conv-image"
channels_hidden = [4]
dense = 8

[modalities.attributes]
codec = "signed-attributes"
encoder = [8]
decoder = [8]

[model]
latent_dim = 3
fusion_dim = 8

[train]
epochs = 1
batch_size = 20
"""


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 drawn faces."""
    folder = tmp_path_factory.mktemp("data") / "drawn"
    code = run(f"data make faces --items 40 --processes 1 --out {folder}".split())
    assert code == 0
    return folder


@pytest.fixture(scope="session")
def faces_run(tmp_path_factory: pytest.TempPathFactory, drawn: Path) -> Path:
    """A run of pictures and attributes, hardly trained; tests must not change it."""
    folder = tmp_path_factory.mktemp("runs")
    config = folder / "faces.toml"
    config.write_text(CONFIG.format(root=str(drawn)), encoding="utf-8")
    mmvae.train(config, run_dir=folder / "faces", max_steps=2)
    return folder / "faces"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """``call("edit", run, photo)``: run a command line in this process."""

    def call(*args: object) -> Result:
        capfd.readouterr()
        code = run([str(arg) for arg in args])
        return Result(code, *capfd.readouterr())

    return call
