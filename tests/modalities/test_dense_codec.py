"""Codecs of one number for each name, with dense layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmvae import (
    CodecConfig,
    Column,
    DecoderWidths,
    DenseActivation,
    DenseCodec,
    EncoderWidths,
    GaussianLikelihood,
    Likelihood,
    typed_cells,
)
from mmvae.testing import CodecContract


class Keys(CodecConfig):
    encoder: EncoderWidths = (8, 4)
    decoder: DecoderWidths = (6,)
    activation: DenseActivation = "tanh"


class Pair(DenseCodec):
    """Two reals of unit variance."""

    kind, names, Config = "pair", ("a", "b"), Keys

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        return torch.as_tensor(np.asarray(column.values), dtype=torch.float32), None

    @property
    def likelihood_family(self) -> Likelihood:
        return GaussianLikelihood(1.0)

    def restore(self, x: Tensor) -> Column:
        return Column(x.detach().cpu().numpy())

    def parse(self, text: str) -> Column:
        return Column(np.array([typed_cells(text, self.names, 0.0)]))


class TestPair(CodecContract):
    def make_codec(self) -> Pair:
        return Pair(Keys())

    def make_column(self, n: int, seed: int) -> Column:
        return Column(np.random.default_rng(seed).normal(size=(n, 2)))


@pytest.mark.parametrize(
    "names", [(1, 2), (["a"], ["b"]), (None, "b"), ("", "b"), ("\ud800", "b"), ("a", "a"), ()]
)
def test_a_saved_state_without_names_is_refused(
    names: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    Pair(Keys()).check_state()
    monkeypatch.setattr(Pair, "names", names)
    with pytest.raises(ValueError, match="its names are .*expected texts, each once"):
        Pair(Keys()).check_state()


@pytest.mark.parametrize(("widths", "wide"), [((8, 4), 4), ((), 2)])
def test_the_features_are_the_last_layer_of_the_encoder(
    widths: tuple[int, ...], wide: int
) -> None:
    codec = Pair(Keys(encoder=widths, decoder=widths))
    assert codec.event_shape == (2,)
    assert codec.feature_dim == wide
    assert codec.encoder()(torch.zeros(3, 2)).shape == (3, wide)
    assert codec.decoder(5)(torch.zeros(3, 5)).shape == (3, 2)


def test_the_weights_are_those_of_one_sequence() -> None:
    codec = Pair(Keys())
    assert [type(layer) for layer in codec.encoder()] == [nn.Linear, nn.Tanh] * 2
    assert list(codec.decoder(5).state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
