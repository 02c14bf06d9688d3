"""Toys: small codecs and a source for tests of the core, which knows no concrete modality.

In one process: ``toy_registry()`` and ``toy_config()``. By entry point, also in subprocesses: the
fixture ``toy_plugin`` of ``conftest.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from torch import Tensor, nn
from torch.distributions import Independent, Normal, OneHotCategorical
from torch.nn import functional as F

import mmvae
from mmvae import (
    Codec,
    CodecConfig,
    Column,
    DiagonalGaussian,
    Family,
    FamilyConfig,
    Posterior,
    Source,
    SourceConfig,
    Split,
    UnsupportedValue,
)
from mmvae.plugins.registry import Registry

mmvae_contract = 1

NAMES = ("red", "green", "blue")

CENTRES = {
    "v": np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]),
    "w": np.array([[-2.0, -2.0, 0.0], [0.0, -2.0, -2.0], [-2.0, 0.0, -2.0]]),
}
"""Mean of ``v`` and of ``w`` in each class ``c``; the noise around it has sd 0.5."""


class VectorConfig(CodecConfig):
    hidden: int = Field(8, ge=1, description="Width of the hidden layers.")
    gaps: bool = Field(False, description="Take NaN for a cell that is not observed.")


class VectorCodec(Codec):
    """Three reals; p(x|z) = N(x; mean, I)."""

    kind = "toy-vector"
    Config = VectorConfig
    event_shape = (3,)

    @property
    def feature_dim(self) -> int:
        return self.config.hidden

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        values = np.asarray(column.values)
        if values.dtype.kind not in "biuf" or values.shape[1:] != (3,):
            raise UnsupportedValue(
                None, f"{values.dtype} values of shape {values.shape}", "numbers of shape (n, 3)"
            )
        observed = ~np.isnan(values)
        bad = ~np.isfinite(values) & ~(self.config.gaps & ~observed)
        if bad.any():
            row, cell = (int(i) for i in np.argwhere(bad)[0])
            raise UnsupportedValue(row, f"{values[row, cell]} in cell {cell}", "a finite number")
        x = torch.from_numpy(values.astype(np.float32))
        return x, torch.from_numpy(observed) if self.config.gaps else None

    def encoder(self) -> nn.Module:
        return nn.Sequential(nn.Linear(3, self.config.hidden), nn.Tanh())

    def decoder(self, input_dim: int) -> nn.Module:
        hidden = self.config.hidden
        return nn.Sequential(nn.Linear(input_dim, hidden), nn.Tanh(), nn.Linear(hidden, 3))

    def likelihood(self, parameters: Tensor) -> Independent:
        return Independent(Normal(parameters, torch.ones_like(parameters), validate_args=False), 1)

    def point(self, likelihood: Independent) -> Tensor:
        return likelihood.mean

    def restore(self, x: Tensor) -> Column:
        return Column(x.detach().cpu().numpy())

    def parse(self, text: str) -> Column:
        try:
            return Column(np.array([[float(part) for part in text.split(",")]]))
        except ValueError:
            raise ValueError(f"{text!r} is no vector; expected three numbers: 1,0,-1") from None

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"squared_error": (prediction - x).square().sum(1)}


class PictureCodec(VectorCodec):
    """The same three reals, shown and read as a grey picture of 3×1 pixels."""

    kind = "toy-picture"

    def show(self, x: Tensor) -> list[Any]:
        pixels = (x * 32 + 128).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        return [Image.fromarray(row[None]) for row in pixels]

    def parse(self, text: str) -> Column:
        try:
            with Image.open(Path(text)) as picture:
                pixels = np.asarray(picture.convert("L"), np.float64)
        except OSError as error:
            raise ValueError(f"{text!r} is no readable picture: {error}") from None
        return Column((pixels[:1] - 128) / 32)


class ClassConfig(CodecConfig):
    hidden: int = Field(8, ge=1, description="Width of the hidden layers.")


class ClassCodec(Codec):
    """One of several classes, by code or name, as a one-hot vector."""

    kind = "toy-class"
    Config = ClassConfig

    def fit(self, column: Column) -> Mapping[str, Any]:
        return {"classes": list(column.names or NAMES)}

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.state["classes"])

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (len(self.classes),)

    @property
    def feature_dim(self) -> int:
        return self.config.hidden

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        codes = [self._code(row, value) for row, value in enumerate(column.values)]
        return F.one_hot(torch.tensor(codes), len(self.classes)).to(torch.uint8), None

    def _code(self, row: int | None, value: Any) -> int:
        if str(value) in self.classes:
            return self.classes.index(str(value))
        if str(value).isdecimal() and int(value) < len(self.classes):
            return int(value)
        raise UnsupportedValue(row, f"class {value}", f"one of {', '.join(self.classes)}")

    def encoder(self) -> nn.Module:
        return nn.Sequential(nn.Linear(len(self.classes), self.config.hidden), nn.Tanh())

    def decoder(self, input_dim: int) -> nn.Module:
        return nn.Linear(input_dim, len(self.classes))

    def likelihood(self, parameters: Tensor) -> OneHotCategorical:
        return OneHotCategorical(logits=parameters, validate_args=False)

    def point(self, likelihood: OneHotCategorical) -> Tensor:
        return F.one_hot(likelihood.logits.argmax(-1), len(self.classes)).float()

    def restore(self, x: Tensor) -> Column:
        return Column(np.array(self.classes)[self.class_index(x).cpu().numpy()])

    def parse(self, text: str) -> Column:
        return Column([self._code(None, text)])

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        return {"accuracy": (self.class_index(prediction) == self.class_index(x)).float()}

    def class_index(self, x: Tensor) -> Tensor:
        return x.argmax(-1)


class Plain(Posterior):
    """A diagonal Gaussian that nobody knows for one: no closed form of a KL is registered."""

    def __init__(self, gaussian: DiagonalGaussian) -> None:
        self.gaussian = gaussian

    def rsample(self, noise: Tensor) -> Tensor:
        return self.gaussian.rsample(noise)

    def log_prob(self, z: Tensor) -> Tensor:
        shape = self.gaussian.mean.shape
        assert z.shape[-len(shape) :] == shape  # what the contract promises, and no broadcasting
        return self.gaussian.log_prob(z)

    def point(self) -> Tensor:
        return self.gaussian.point()


class PlainHead(nn.Module):
    def __init__(self, context_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(context_dim, 2 * latent_dim) if context_dim else None
        self.bias = nn.Parameter(torch.zeros(2 * latent_dim))

    def begin(self, samples: Tensor, points: Tensor) -> None:
        """Begin at the samples' mean and spread."""
        self.bias.copy_(torch.cat([samples.mean(0), samples.var(0).log()]))

    def forward(self, context: Tensor) -> Plain:
        raw = self.bias.expand(*context.shape[:-1], -1)
        if self.linear is not None:
            raw = raw + self.linear(context).float()
        return Plain(DiagonalGaussian(*raw.chunk(2, -1)))


class PlainConfig(FamilyConfig):
    scale: float = Field(1.0, description="Of no use.")


class PlainFamily(Family):
    """Heads of :class:`Plain`."""

    kind = "toy-plain"
    Config = PlainConfig

    def head(self, context_dim: int, latent_dim: int) -> nn.Module:
        return PlainHead(context_dim, latent_dim)


class ToyConfig(SourceConfig):
    items: int = Field(60, ge=1, description="Items for training.")
    validation: int = Field(20, ge=0, description="Items for validation.")
    test: int = Field(20, ge=0, description="Items for test.")
    seed: int = Field(0, ge=0, description="Seed of the items.")


class ToySource(Source):
    """Classes ``c`` with the vectors ``v`` and ``w`` around their centres."""

    kind = "toy"
    Config = ToyConfig

    def splits(self) -> dict[str, Split]:
        sizes = {"train": self.config.items}
        sizes |= {"validation": self.config.validation, "test": self.config.test}
        columns = toy_items(sum(sizes.values()), self.config.seed)
        whole = Split(
            {
                "v": Column(columns["v"], origin="toy v"),
                "w": Column(columns["w"], origin="toy w"),
                "c": Column(columns["c"], NAMES, origin="toy c"),
            },
            np.arange(len(columns["c"])),
        )
        ends = np.cumsum([0, *sizes.values()])
        cuts = zip(sizes, ends[:-1], ends[1:], strict=True)
        return {name: whole.take(np.arange(a, b)) for name, a, b in cuts if b > a}

    def fingerprint(self) -> str:
        return hashlib.sha256(self.config.model_dump_json().encode()).hexdigest()[:16]


def toy_items(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Columns ``v`` (n, 3), ``w`` (n, 3) and ``c`` (n,), for ``data=`` and tables."""
    rng = np.random.default_rng(seed)
    c = rng.permutation(np.arange(n) % 3)
    v, w = (CENTRES[name][c] + 0.5 * rng.normal(size=(n, 3)) for name in ("v", "w"))
    return {"v": v.astype(np.float32), "w": w.astype(np.float32), "c": c}


def toy_registry() -> Registry:
    """The toys, the core's own sources and JMVAE: nothing that is installed."""
    from mmvae.data.memory import MemorySource
    from mmvae.data.table import TableSource
    from mmvae.models.jmvae import JMVAE

    return Registry.of(
        codecs=[VectorCodec, PictureCodec, ClassCodec],
        sources=[ToySource, MemorySource, TableSource],
        models=[JMVAE],
        families=[PlainFamily],
    )


def toy_config(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """A config of ``v`` and ``c`` that trains in a blink; each section given is merged into it."""
    config: dict[str, Any] = {
        "name": "toy",
        "data": {"source": "toy"},
        "modalities": {"v": {"codec": "toy-vector"}, "c": {"codec": "toy-class"}},
        "model": {"latent_dim": 2, "fusion_dim": 8},
        "train": {"epochs": 2, "batch_size": 20, "device": "cpu"},
    }
    for name, section in sections.items():
        whole = name in ("data", "modalities")  # those choose their keys, so they are replaced
        config[name] = dict(section) if whole else {**config.get(name, {}), **section}
    return config


@mmvae.hookimpl
def register_codecs(register: Any) -> None:
    for codec in (VectorCodec, PictureCodec, ClassCodec):
        register(codec)


@mmvae.hookimpl
def register_sources(register: Any) -> None:
    register(ToySource)
