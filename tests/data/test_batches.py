"""Batches: resident or streamed the same, and errors that say whose value it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toys import NAMES, ClassCodec, ClassConfig, VectorCodec, VectorConfig, toy_items

from mmvae.data.batches import Batches, fixed_view, prepare, training_view
from mmvae.data.sampler import share
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column, LazyValues

N = 20


class Noisy(VectorCodec):
    """Stored as whole hundredths; a fresh view adds noise, the fixed one a constant."""

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        x, observed = super().prepare(column)
        return (100 * x).round().to(torch.int16), observed

    def to_input(self, x: Tensor) -> Tensor:
        return x.to(torch.float32) / 100

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + torch.randn(x.shape, generator=generator)

    def fixed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + torch.rand(len(x), 1, generator=generator)


class Counted(LazyValues):
    """Lazy rows of an array that note how many were read."""

    def __init__(self, values: np.ndarray, rows: np.ndarray, read: list[int]) -> None:
        self.values, self.rows, self.reads = values, rows, read

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Sequence[int] | np.ndarray) -> Counted:
        return Counted(self.values, self.rows[np.asarray(rows)], self.reads)

    def read(self) -> Any:
        self.reads.append(len(self.rows))
        return self.values[self.rows]


def split(n: int = N) -> Split:
    columns = toy_items(n)
    return Split(
        {
            "v": Column(columns["v"], origin="toys.csv, column 'v'"),
            "c": Column(columns["c"], NAMES),
            "gaps": Column(np.where(np.arange(3 * n).reshape(n, 3) % 4, columns["w"], np.nan)),
        },
        np.array([f"item-{i}" for i in range(n)]),
    )


def codecs() -> dict[str, Codec]:
    return {
        "v": Noisy(VectorConfig()),
        "c": ClassCodec(ClassConfig(), {"classes": list(NAMES)}),
        "gaps": VectorCodec(VectorConfig(gaps=True)),
    }


def batches(resident: bool, items: Split | None = None) -> Batches:
    return Batches(items or split(), codecs(), {m: m for m in codecs()}, resident=resident)


def draws(rows: slice, total: int, step: int = 0) -> StepDraws:
    return StepDraws(0, "train", step, rows, total)


@pytest.mark.parametrize("view", [training_view, fixed_view])
def test_resident_and_streamed_give_equal_batches(view: Any) -> None:
    resident, streamed = batches(True), batches(False)
    for step, items in enumerate(torch.randperm(N).split(7)):
        d = draws(slice(0, len(items)), len(items), step)
        one, two = resident.batch(items, d, view), streamed.batch(items, d, view)
        torch.testing.assert_close(dict(one.x), dict(two.x), equal_nan=True, rtol=0, atol=0)
        assert one.observed["v"] is two.observed["v"] is None
        assert torch.equal(one.observed["gaps"], two.observed["gaps"])
        assert {x.dtype for x in one.x.values()} == {torch.float32}
        assert len(one) == len(items)


def test_a_batch_holds_the_items_asked_for_in_their_order() -> None:
    items = torch.tensor([5, 0, 19, 5])
    batch = batches(True).batch(items, draws(slice(0, 4), 4), fixed_view)
    codes = split().columns["c"].values[items.numpy()]
    assert batch.x["c"].argmax(1).tolist() == codes.tolist()
    known = ~np.isnan(split().columns["gaps"].values[items.numpy()])
    assert batch.observed["gaps"].tolist() == known.tolist()


@pytest.mark.parametrize("resident", [True, False])
def test_stored_values_become_model_input(resident: bool) -> None:
    batch = batches(resident).batch(torch.arange(N), draws(slice(0, N), N), fixed_view)
    shift = batch.x["v"] - torch.from_numpy(split().columns["v"].values)
    assert ((shift > -0.01) & (shift < 1.01)).all()  # hundredths, plus one number in [0, 1) each
    assert (shift.std(1) < 0.02).all()


@pytest.mark.parametrize("resident", [True, False])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
def test_shares_of_a_batch_are_rows_of_the_whole(resident: bool, parts: int) -> None:
    """Views included, so that neither processes nor accumulation change what an item gets."""
    source, items = batches(resident), torch.randperm(N)[:9]
    whole = source.batch(items, draws(slice(0, 9), 9), training_view)
    for part in range(parts):
        rows = share(9, part, parts)
        piece = source.batch(items[rows], draws(rows, 9), training_view)
        for m, x in piece.x.items():
            torch.testing.assert_close(x, whole.x[m][rows], equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("resident", [True, False])
def test_an_empty_share_is_an_empty_batch(resident: bool) -> None:
    source = batches(resident)
    source.codecs.pop("c")  # its toy codec has no empty column
    source._kept.pop("c", None)
    batch = source.batch(torch.arange(0), draws(slice(0, 0), 2), training_view)
    assert batch.x["v"].shape == (0, 3)


def test_training_views_are_fresh_every_step_and_fixed_views_of_a_chunk_are_not() -> None:
    source, items = batches(True), torch.arange(6)
    rows = slice(0, 6)
    one = source.batch(items, draws(rows, 6, 1), training_view).x["v"]
    assert not torch.equal(one, source.batch(items, draws(rows, 6, 2), training_view).x["v"])
    assert torch.equal(one, source.batch(items, draws(rows, 6, 1), training_view).x["v"])
    fixed = [source.batch(items, draws(rows, 6, 1), fixed_view).x["v"] for _ in range(2)]
    assert torch.equal(*fixed)


@pytest.mark.parametrize("resident", [True, False])
def test_cells_that_are_not_observed_show_the_stand_in(resident: bool) -> None:
    class StandIn(VectorCodec):
        def missing(self, b: int) -> Tensor:
            return torch.tensor([[1.0, 2.0, 3.0]]).expand(b, 3)

    columns = {"gaps": "gaps"}
    recipe: dict[str, Codec] = {"gaps": StandIn(VectorConfig(gaps=True))}
    source = Batches(split(), recipe, columns, resident=resident)
    x = source.batch(torch.arange(N), draws(slice(0, N), N), fixed_view).x["gaps"]
    values = torch.from_numpy(split().columns["gaps"].values).float()
    filled = torch.where(values.isnan(), torch.tensor([1.0, 2.0, 3.0]), values)
    assert values.isnan().any()
    assert torch.equal(x, filled)


def test_fixed_views_are_the_same_however_items_are_cut() -> None:
    source = batches(True)
    whole = source.fixed(slice(0, N)).x["v"]
    parts = [source.fixed(slice(a, min(a + 3, N))).x["v"] for a in range(0, N, 3)]
    assert torch.equal(torch.cat(parts), whole)
    some = torch.tensor([0, 3, 4, N - 1])
    assert torch.equal(source.fixed(some).x["v"], whole[some])


def test_streamed_batches_take_no_columns_but_their_own() -> None:
    class Untouchable(Counted):
        def take(self, rows: Any) -> Any:
            raise AssertionError("taken")

    other = Column(Untouchable(np.zeros(N), np.arange(N), []))
    items = Split({**split().columns, "other": other}, split().ids)
    batch = batches(False, items).batch(torch.arange(2), draws(slice(0, 2), 2), fixed_view)
    assert set(batch.x) == set(codecs())
    assert batch.x["c"].argmax(1).tolist() == split().columns["c"].values[:2].tolist()


def test_streamed_batches_read_their_items_alone() -> None:
    columns, reads = toy_items(N), []
    lazy = Split({"v": Column(Counted(columns["v"], np.arange(N), reads))}, np.arange(N))
    source = Batches(lazy, {"v": VectorCodec(VectorConfig())}, {"v": "v"}, resident=False)
    assert reads == []
    batch = source.batch(torch.tensor([3, 1]), draws(slice(0, 2), 2), fixed_view)
    assert torch.equal(batch.x["v"], torch.from_numpy(columns["v"][[3, 1]]))
    assert reads == [2]


@pytest.mark.parametrize("resident", [True, False])
def test_a_bad_value_is_named_by_modality_item_and_origin(resident: bool) -> None:
    items = split()
    items.columns["v"].values[13, 1] = np.inf
    with pytest.raises(
        DataError,
        match=r"^toys.csv, column 'v': item item-13, modality 'v': got inf in cell 1, "
        r"expected a finite number\.$",
    ):
        batches(resident, items).batch(torch.tensor([2, 13]), draws(slice(0, 2), 2), fixed_view)


def test_a_column_that_is_wrong_as_a_whole_names_no_item() -> None:
    items = Split(dict(split().columns) | {"v": Column(np.zeros((N, 4)), origin="x")}, split().ids)
    with pytest.raises(
        DataError, match=r"^x: modality 'v': got float64 values of shape \(20, 4\)"
    ):
        batches(True, items)


def test_a_codec_that_prepares_another_shape_is_named() -> None:
    class Wide(VectorCodec):
        event_shape = (4,)

    with pytest.raises(DataError, match=r"'v': codec 'toy-vector'.*\(2, 3\), expected \(2, 4\)"):
        prepare("v", Wide(VectorConfig()), Column(np.zeros((2, 3))))


def test_without_ids_the_row_is_named() -> None:
    with pytest.raises(DataError, match="^item 1, modality 'v': got nan"):
        prepare("v", VectorCodec(VectorConfig()), Column(np.array([[0.0, 0, 0], [0, 0, np.nan]])))


def test_columns_may_be_named_apart_from_their_modality() -> None:
    source = Batches(split(), {"m": VectorCodec(VectorConfig())}, {"m": "v"})
    batch = source.batch(torch.arange(2), draws(slice(0, 2), 2), fixed_view)
    assert torch.equal(batch.x["m"], torch.from_numpy(toy_items(N)["v"][:2]))


@pytest.mark.parametrize("resident", [True, False])
def test_the_complete_items_are_a_split_of_their_own(resident: bool) -> None:
    assert (all_ := batches(resident)).complete() is all_
    present, whole = np.arange(N) % 3 > 0, split()
    columns = {m: replace(c, present=present) for m, c in whole.columns.items()}
    columns["v"] = whole.columns["v"]
    ours = batches(resident, Split(columns, whole.ids)).complete()
    theirs = batches(resident, whole.take(np.flatnonzero(present)))
    assert not ours.has_missing
    assert ours.split.ids.tolist() == theirs.split.ids.tolist()
    one, two = (b.fixed(slice(1, len(theirs))) for b in (ours, theirs))
    for m in one.x:
        assert torch.equal(one.x[m], two.x[m])
    assert one.presence == {}
