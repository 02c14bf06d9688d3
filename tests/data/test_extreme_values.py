"""Numbers that mark what is missing are found, whatever the scale; heavy tails are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from toys import ClassCodec, ClassConfig, VectorCodec, VectorConfig, toy_items

from mmvae.data.checks import check
from mmvae.data.dataset import CHUNK, open_data
from mmvae.data.extreme_values import NAMED, SAMPLE, Extremes, extremes, naming_items
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.data.source import Split
from mmvae.foundations.errors import NonFinite
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column

RECIPES = {"v": (VectorCodec, VectorConfig()), "c": (ClassCodec, ClassConfig())}
RNG = np.random.default_rng(0)
USUAL = RNG.normal(5.0, 2.0, 300)
CODEC: Codec = VectorCodec(VectorConfig())


def found(values: Any, train: Any = None, present: Any = None) -> Extremes | None:
    split = Split({"x": Column(values, present=present)}, [f"id{i}" for i in range(len(values))])
    known = split if train is None else Split({"x": Column(train)}, np.arange(len(train)))
    return extremes(split, known, "x", CODEC)


def with_cell(values: Any, row: int, value: float) -> Any:
    changed = np.array(values, dtype=float)
    changed[row] = value
    return changed


@pytest.mark.parametrize("fill", [9.96921e36, -9999.0, 1e30, -1e20, 99999.0, 1e300])
@pytest.mark.parametrize(
    "values", [USUAL, np.zeros(300), USUAL[:, None] * np.ones(3), USUAL.astype("float32")]
)
def test_a_fill_value_is_found_where_it_is(values: Any, fill: float) -> None:
    for train in (None, values):
        told = found(with_cell(values, 7, fill), train)
        assert told is not None
        assert (told.item, told.count, told.value) == ("id7", 1, fill)
        assert f"{fill:g} lies" in told.description()


@pytest.mark.parametrize(
    "values",
    [
        USUAL,
        1e6 + USUAL,
        1e-9 * USUAL,
        np.exp(2 * RNG.normal(size=300)),
        RNG.poisson(0.1, (300, 5)),
        RNG.integers(0, 2, 300),
        np.full(300, 7.0),
        np.where(RNG.random(300) < 0.1, 1e5 * RNG.random(300), 0.0),
        RNG.integers(0, 256, (50, 4, 4)).astype("float32"),
        (255 * RNG.random((50, 4, 4))).astype("uint8"),
        USUAL.astype(complex),
        ["a text"] * 20,
        [[1.0], [1.0, 2.0]] * 9,
    ],
)
def test_usual_values_are_not(values: Any) -> None:
    assert found(values) is None


def test_many_are_counted_and_some_are_named() -> None:
    values = USUAL.copy()
    values[::5] = -9999
    told = found(values)
    assert told is not None
    assert (told.count, len(told.items)) == (60, NAMED)
    assert "60 items hold such values: id0, id5, id10, id15, id20, …" in told.description()


def test_gaps_are_passed_over_and_rows_counted_beyond_a_chunk() -> None:
    n = max(CHUNK, SAMPLE) + 50
    values = RNG.normal(size=n)
    values[n - 2], values[4] = 1e20, 1e30
    present = np.ones(n, bool)
    present[4] = False
    told = found(values, present=present)
    assert told is not None
    assert (told.item, told.value) == (f"id{n - 2}", 1e20)


def sound() -> dict[str, dict[str, np.ndarray]]:
    return {"train": toy_items(30, 1), "validation": toy_items(12, 2), "test": toy_items(12, 3)}


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_check_remarks_on_them(split: str) -> None:
    splits = sound()
    splits[split]["v"][5, 1] = -9999
    (finding,) = check(MemorySource(MemoryConfig(), splits), RECIPES)[1]
    assert (finding.kind, finding.split, finding.modality, finding.item) == (
        "extreme",
        split,
        "v",
        5,
    )
    assert not finding.wrong


def test_a_term_that_is_not_finite_is_told_with_item_modality_and_value() -> None:
    splits = sound()
    splits["validation"]["v"][5, 1] = 1e30
    data = open_data(MemorySource(MemoryConfig(), splits), RECIPES)
    with pytest.raises(NonFinite) as caught, naming_items(data):
        raise NonFinite("kl became nan.", "validation", [5, 6], "Lower it.")
    told = str(caught.value)
    assert told.startswith(
        "kl became nan. It is that of item 5 and 1 more of the validation split"
    )
    assert "1e+30, of modality 'v'" in told
    assert "Item 5 of the validation split, modality 'v': 1e+30 lies" in told
    assert "Lower it" not in told, "it is not the learning rate"


def test_where_nothing_is_extreme_the_learning_rate_is() -> None:
    data = open_data(MemorySource(MemoryConfig(), sound()), RECIPES)
    with pytest.raises(NonFinite, match=r"^kl became nan\. Lower it\.$"), naming_items(data):
        raise NonFinite("kl became nan.", "train", [], "Lower it.")
