"""The codec contract's defaults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.distributions import Independent, MultivariateNormal, OneHotCategorical
from torch.testing import assert_close
from toys import VectorCodec, VectorConfig

from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column, LazyValues


class Squares(LazyValues):
    """i² for each row i, computed when read."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.rows = list(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Any) -> Squares:
        return Squares([self.rows[int(i)] for i in rows])

    def read(self) -> np.ndarray:
        return np.array(self.rows) ** 2


COLUMNS = {
    "array": np.arange(10) ** 2,
    "list": [i**2 for i in range(10)],
    "tuple": tuple(i**2 for i in range(10)),
    "lazy": Squares(range(10)),
}


@pytest.fixture
def codec() -> VectorCodec:
    return VectorCodec(VectorConfig())


# -- columns --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("rows", [[], [3], [9, 0, 0, 4], np.array([1, 2]), torch.tensor([5])])
def test_a_column_gives_the_rows_asked_for(kind: str, rows: Any) -> None:
    column = Column(COLUMNS[kind], ("name",), "file")
    taken = column.take(rows)
    assert len(column) == 10
    assert len(taken) == len(rows)
    assert list(taken.read().values) == [int(i) ** 2 for i in rows]
    assert (taken.names, taken.origin) == (("name",), "file")
    assert isinstance(taken.values, LazyValues) == (kind == "lazy")


def test_a_column_in_memory_is_read_as_it_is() -> None:
    column = Column([1, 2])
    assert column.read() is column


# -- configuration --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys", [{"weight": 0}, {"weight": -1}, {"weight": float("inf")}, {"wieght": 1}]
)
def test_a_bad_key_of_a_modality_is_refused(keys: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(keys))):
        CodecConfig(**keys)


def test_a_codec_without_its_networks_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Codec(CodecConfig())  # type: ignore[abstract]


# -- log-likelihood -------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**31))
def test_unobserved_cells_leave_their_terms_out(seed: int) -> None:
    codec = VectorCodec(VectorConfig())
    source = torch.Generator().manual_seed(seed)
    mean, x = torch.randn(2, 6, 3, generator=source)
    observed = torch.rand(6, 3, generator=source) > 0.4
    likelihood = codec.likelihood(mean)
    cells = likelihood.base_dist.log_prob(x)
    expected = torch.stack([row[seen].sum() for row, seen in zip(cells, observed, strict=True)])
    assert_close(codec.log_prob(likelihood, x, observed), expected)
    everything = torch.ones(6, 3, dtype=torch.bool)
    assert_close(codec.log_prob(likelihood, x, everything), codec.log_prob(likelihood, x, None))


def test_nan_in_unobserved_cells_changes_no_value_and_no_gradient(codec: VectorCodec) -> None:
    observed = torch.tensor([[True, False, True], [False, False, False]])
    x, results = torch.randn(2, 3), []
    for blank in (0.0, torch.nan):
        mean = torch.zeros(2, 3, requires_grad=True)
        value = codec.log_prob(codec.likelihood(mean), torch.where(observed, x, blank), observed)
        value.sum().backward()
        results.append((value.detach(), mean.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
    assert results[0][0][1] == 0.0
    assert not results[0][1][~observed].any()


def test_a_likelihood_that_does_not_factorise_must_handle_gaps_itself(codec: VectorCodec) -> None:
    likelihood = MultivariateNormal(torch.zeros(2, 3), torch.eye(3))
    with pytest.raises(TypeError, match="'toy-vector'.*MultivariateNormal.*unobserved"):
        codec.log_prob(likelihood, torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))
    assert codec.log_prob(likelihood, torch.zeros(2, 3), None).shape == (2,)


# -- other defaults -------------------------------------------------------------------------------


def test_samples_are_governed_by_their_generator_alone(codec: VectorCodec) -> None:
    likelihood, before = codec.likelihood(torch.zeros(4, 3)), torch.get_rng_state()

    def draw(seed: int) -> torch.Tensor:
        return codec.sample(likelihood, torch.Generator().manual_seed(seed))

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))
    source = torch.Generator().manual_seed(1)
    assert not torch.equal(codec.sample(likelihood, source), codec.sample(likelihood, source))
    assert torch.equal(before, torch.get_rng_state())


def test_defaults_change_nothing(codec: VectorCodec) -> None:
    x, source = torch.randn(2, 3), torch.Generator()
    assert codec.resample(x, source) is x
    assert codec.fixed(x, source) is x
    assert codec.state == {}
    assert codec.classes is None
    assert torch.equal(codec.missing(2), torch.zeros(2, 3))
    assert codec.to_input(torch.tensor([[1, 2, 3]], dtype=torch.uint8)).dtype == torch.float32
    with pytest.raises(NotImplementedError, match="'toy-vector' has no classes"):
        codec.class_index(x)


def test_a_condition_is_a_prepared_value_as_model_input(codec: VectorCodec) -> None:
    column = Column(np.array([[1, 2, 3]]))
    assert torch.equal(codec.condition(column), torch.tensor([[1.0, 2.0, 3.0]]))


def test_a_condition_with_gaps_shows_the_stand_in() -> None:
    codec = VectorCodec(VectorConfig(gaps=True))
    given = codec.condition(Column(np.array([[1.0, np.nan, 3.0]])))
    assert torch.equal(given, torch.tensor([[1.0, 0.0, 3.0]]))


def test_a_likelihood_of_several_cells_at_once_must_handle_gaps_itself(codec: VectorCodec) -> None:
    """Its terms are not of single cells, so a mask of cells would count them wrongly."""
    whole = Independent(OneHotCategorical(logits=torch.zeros(2, 3)), 0)
    with pytest.raises(TypeError, match="does not factorise over cells"):
        codec.log_prob(whole, torch.eye(3)[:2], torch.ones(2, 3, dtype=torch.bool))


def test_samples_leave_the_global_generators_as_they_were(codec: VectorCodec) -> None:
    before = torch.get_rng_state()
    codec.sample(codec.likelihood(torch.zeros(2, 3)), torch.Generator().manual_seed(3))
    assert torch.equal(torch.get_rng_state(), before)
