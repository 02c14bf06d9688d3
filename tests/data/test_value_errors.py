"""Whatever a codec raises on a value ends in a DataError that says whose value it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import ClassCodec, ClassConfig, VectorCodec, VectorConfig

from mmvae.data.batches import Batches, fixed_draws, plain_view, prepare
from mmvae.data.checks import check
from mmvae.data.dataset import fitted
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.source import Split
from mmvae.data.value_errors import refused_row
from mmvae.foundations.errors import DataError
from mmvae.modalities.column import Column


class Careless(VectorCodec):
    """Checks nothing: what Python says is all that is said."""

    kind = "careless"

    def prepare(self, column: Column):
        return torch.tensor([[float(cell) for cell in row] for row in column.values]), None


class Summing(Careless):
    kind = "summing"

    def fit(self, column: Column):
        return {"sum": sum(column.read().values)}


def rows(n: int = 20) -> list[list[float]]:
    return np.random.default_rng(0).normal(size=(n, 3)).tolist()


@pytest.mark.parametrize(("bad", "kind"), [(None, TypeError), ("abc", ValueError)])
def test_a_value_that_a_codec_raises_on_is_found_and_named(bad, kind) -> None:
    values = rows()
    values[13] = bad
    with pytest.raises(DataError) as caught:
        prepare("v", Careless(VectorConfig()), Column(values, origin="a.csv"), np.arange(20) + 100)
    text = str(caught.value)
    assert text.startswith(f"a.csv: item 113, modality 'v': got {bad!r}, which codec 'careless'")
    assert kind.__name__ in text
    assert isinstance(caught.value.__cause__, kind)
    assert ("makes a table's column text" in text) == isinstance(bad, str)


def test_values_that_pass_alone_are_no_row_of_their_own() -> None:
    column = Column([[1.0], [1.0, 2.0]])
    assert refused_row(Careless(VectorConfig()))(column) is None
    with pytest.raises(DataError, match="refused it without saying which value"):
        prepare("v", Careless(VectorConfig()), column)


@pytest.mark.parametrize("row", range(7))
def test_the_row_is_found_wherever_it_is(row: int) -> None:
    values: list = rows(7)
    values[row] = None
    assert refused_row(Careless(VectorConfig()))(Column(values)) == row


def test_what_a_fit_raises_names_column_and_codec() -> None:
    train = Split({"v": Column(["a", "b"], origin="a.csv")}, np.arange(2))
    with pytest.raises(
        DataError, match=r"a\.csv: modality 'v': codec 'summing' refused"
    ) as caught:
        fitted("v", Summing, VectorConfig(), train, "v")
    assert isinstance(caught.value.__cause__, TypeError)


def test_the_check_lists_every_item_that_a_codec_raises_on() -> None:
    values: list = rows(30)
    values[4], values[17] = ["abc"] * 3, [None, 1.0, 1.0]
    data = {"train": {"v": values, "c": np.arange(30) % 3}}
    recipes = {"v": (Careless, VectorConfig()), "c": (ClassCodec, ClassConfig())}
    findings = check(MemorySource(MemoryConfig(), data), recipes)[1]
    assert [(f.kind, f.modality, f.item) for f in findings] == [
        ("value", "v", 4),
        ("value", "v", 17),
    ]


@pytest.mark.parametrize("resident", [True, False])
def test_a_codec_that_lets_nan_through_is_stopped_at_the_item(resident: bool) -> None:
    values = np.array(rows())
    values[6, 1] = np.nan
    split = Split({"v": Column(values, origin="a.npy")}, np.arange(20) + 50)
    with pytest.raises(DataError, match=r"a\.npy: item 56, modality 'v': .*is not finite"):
        Batches(split, {"v": Careless(VectorConfig())}, {"v": "v"}, resident=resident).batch(
            torch.arange(20), fixed_draws(slice(0, 20), "cpu"), plain_view
        )


def test_cells_that_are_not_observed_may_hold_anything() -> None:
    values = np.array(rows())
    values[6, 1] = np.nan
    codec = VectorCodec(VectorConfig(gaps=True))
    x, observed = prepare("v", codec, Column(values))
    assert observed is not None
    assert not observed[6, 1]
    assert len(x) == 20
