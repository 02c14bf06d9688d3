"""What every model of the protocol promises of likelihoods and sample dimensions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_gaussian import LinearCodec, LinearConfig, jmvae, linear_codecs
from pydantic import ValidationError
from torch import Tensor, nn
from torch.testing import assert_close

from mmvae.models.base import ModelConfig
from mmvae.models.parameters import fold, in_float32, unfold

CODECS = linear_codecs(a={"dim": 3, "sd": 0.5}, b={"dim": 2})


@settings(deadline=None)
@given(st.lists(st.integers(1, 4), min_size=0, max_size=3), st.integers(1, 5))
def test_fold_and_unfold_are_inverse(leading: list[int], d: int) -> None:
    z = torch.randn(*leading, d)
    flat, shape = fold(z)
    assert flat.shape == (z.numel() // d, d)
    assert torch.equal(unfold(flat, shape), z)


def test_a_folded_likelihood_is_that_of_each_sample() -> None:
    model, k, b = jmvae(CODECS), 4, 5
    z, x = torch.randn(k, b, 2), torch.randn(b, 3)
    flat, shape = fold(z)
    together = unfold(model.log_likelihood("a", flat, x.expand(k, b, 3).flatten(0, 1)), shape)
    each = torch.stack([model.log_likelihood("a", sample, x) for sample in z])
    assert together.shape == (k, b)
    assert_close(together, each)


def test_likelihood_is_the_decoders_distribution() -> None:
    model, z, x = jmvae(CODECS), torch.randn(5, 2), torch.randn(5, 3)
    likelihood = model.likelihood("a", z)
    assert likelihood.batch_shape == (5,)
    assert likelihood.event_shape == (3,)
    assert_close(likelihood.mean, model.decoders["a"](z))
    assert_close(model.log_likelihood("a", z, x), likelihood.log_prob(x))


def test_parameters_are_float32_at_least() -> None:
    half = torch.ones(2, dtype=torch.bfloat16)
    double = torch.ones(2, dtype=torch.float64)
    assert in_float32(half).dtype == torch.float32
    assert in_float32(double) is double
    mixed = in_float32({"mean": half, "scale": double})
    assert (mixed["mean"].dtype, mixed["scale"].dtype) == (torch.float32, torch.float64)


def test_likelihood_is_float32_under_autocast() -> None:
    model = jmvae(CODECS)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.likelihood("a", torch.randn(5, 2)).mean.dtype == torch.float32
        value = model.log_likelihood("a", torch.randn(5, 2), torch.randn(5, 3))
    assert value.dtype == torch.float32


@pytest.mark.parametrize("trunks", ["separate", "joint-apart", "shared"])
def test_compilable_networks_are_decoders_and_trunks(trunks: str) -> None:
    model = jmvae(CODECS, trunks=trunks)
    compiled = set(model.compilable())
    assert set(model.decoders.values()) <= compiled
    assert compiled <= set(model.modules())


def test_a_codecs_own_networks_are_not_compiled_twice() -> None:
    class Nested(LinearCodec):
        def encoder(self) -> nn.Module:
            return nn.Sequential(Split(), nn.Identity())

    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleDict({"one": nn.Linear(3, 3)})

        def forward(self, x: Tensor) -> Tensor:
            part: Tensor = self.parts["one"](x)
            return part

    model = jmvae({"a": Nested(LinearConfig())})
    parts = [m for m in model.modules() if isinstance(m, Split)]
    assert parts
    assert not {part.parts["one"] for part in parts} & set(model.compilable())


def test_a_models_section_takes_no_unknown_key() -> None:
    with pytest.raises(ValidationError, match="latent"):
        ModelConfig(latent=3)
