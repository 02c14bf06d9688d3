"""Retrieval: exact search against a plain one, ranks with ties, and who may find whom."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import toy_items, toy_registry

from mmvae.data.source import Split
from mmvae.foundations.errors import DataError, UsageError
from mmvae.inference import retrieval
from mmvae.inference.model_folder import load_model
from mmvae.inference.retrieval import Found, nearest, ranks_of, retrieve
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.column import Column


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "QUERIES", 3)
    monkeypatch.setattr(retrieval, "CANDIDATES", 4)


@pytest.mark.usefixtures("small_blocks")
def test_blocks_find_what_a_search_of_all_finds() -> None:
    source = torch.Generator().manual_seed(0)
    queries, candidates = (torch.randn(n, 5, generator=source) for n in (11, 17))
    index, distances = nearest(queries, candidates, 6)
    exact = (queries[:, None] - candidates).double().square().sum(-1).sqrt()
    order = exact.argsort(1)[:, :6]
    assert index.equal(order)
    torch.testing.assert_close(distances.double(), exact.gather(1, order), atol=1e-5, rtol=0)
    ranks, tied = ranks_of(queries, candidates, torch.arange(11))
    assert tied.tolist() == [1] * 11
    assert ranks.tolist() == [(exact[i] < exact[i, i]).sum() + 1 for i in range(11)]


@pytest.mark.usefixtures("small_blocks")
def test_an_excluded_candidate_is_not_found() -> None:
    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(1))
    index, distances = nearest(z, z, 100, torch.arange(9))
    assert index.shape == (9, 8)
    assert (index != torch.arange(9)[:, None]).all()
    assert torch.isfinite(distances).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 30))
def test_a_model_that_puts_all_on_one_point_is_right_by_chance(n: int) -> None:
    z = torch.zeros(n, 3)
    ranks, tied = ranks_of(z, z, torch.arange(n))
    assert ranks.tolist() == [(n + 1) / 2] * n
    assert tied.tolist() == [n] * n
    figures = made(ranks, tied).figures()
    assert [figures[f"recall@{k}"] for k in (1, 5, 10)] == pytest.approx(
        [min(1, k / n) for k in (1, 5, 10)]
    )


def made(ranks: torch.Tensor, tied: torch.Tensor) -> Found:
    n = len(ranks)
    nothing = np.zeros((n, 0))
    return Found(np.arange(n), nothing, nothing, n, ranks.numpy(), tied.numpy())


def test_recall_under_ties_is_the_mean_over_all_orders_of_them() -> None:
    """Four candidates at distances 1, 2, 2, 2 of an item, whose own is one of the last three."""
    candidates = torch.tensor([[1.0], [2.0], [-2.0], [2.0], [9.0], [9.0], [-9.0]])
    ranks, tied = ranks_of(torch.zeros(1, 1), candidates, torch.tensor([2]))
    assert (ranks.tolist(), tied.tolist()) == ([3], [3])
    figures = made(ranks, tied).figures()
    assert figures["recall@1"] == 0
    assert figures["recall@5"] == 1
    far, both = ranks_of(torch.zeros(1, 1), candidates, torch.tensor([5]))
    assert made(far, both).figures()["recall@5"] == pytest.approx(1 / 3)


@pytest.fixture(scope="module")
def trained(toy_run: Path) -> TrainedModel:
    return load_model(toy_run, toy_registry())


def items(n: int = 40, lacking: tuple[int, ...] = ()) -> Split:
    present = None
    if lacking:
        present = np.ones(n, bool)
        present[list(lacking)] = False
    columns = {m: Column(x) for m, x in toy_items(n, seed=4).items()}
    columns["w"] = Column(columns["w"].values, present=present)
    return Split(columns, np.arange(100, 100 + n))


def test_items_find_their_kind_across_modalities(trained: TrainedModel) -> None:
    split = items()
    found = retrieve(trained, split, "v", "p", count=3)
    assert found.ids.shape == found.distances.shape == (40, 3)
    kinds = dict(zip(split.ids.tolist(), split.columns["c"].values.tolist(), strict=True))
    same = [
        kinds[i] == kinds[q] for q, ids in zip(found.queries, found.ids, strict=True) for i in ids
    ]
    assert np.mean(same) > 0.8
    assert (np.diff(found.distances, axis=1) >= 0).all()
    assert found.ranks is not None
    figures = found.figures()
    assert figures["recall@1"] == (found.ids[:, 0] == found.queries).mean()
    assert figures["recall@1"] <= figures["recall@5"] <= figures["recall@10"]
    assert figures["median rank"] < 20.5


def test_distances_are_those_of_the_embeddings(trained: TrainedModel) -> None:
    split = items(6)
    found = retrieve(trained, split, "v", "c", count=6)
    v, c = (trained.embed(split, m) for m in ("v", "c"))
    for row, (ids, distances) in enumerate(zip(found.ids, found.distances, strict=True)):
        wanted = (v[row] - c[ids - 100]).norm(dim=1)
        np.testing.assert_allclose(distances, wanted, atol=1e-5)


def test_by_the_same_modalities_no_item_finds_itself(trained: TrainedModel) -> None:
    found = retrieve(trained, items(), "v", "v", count=5)
    assert (found.ids != found.queries[:, None]).all()
    assert found.ranks is None
    assert found.figures() == {}


def test_items_that_lack_it_neither_ask_nor_are_found(trained: TrainedModel) -> None:
    split = items(10, lacking=(0, 3))
    found = retrieve(trained, split, "v", "p", count=10)
    assert found.candidates == 8
    assert not {100, 103} & set(found.ids.ravel().tolist())
    assert found.ranks is not None
    assert len(found.queries) == 10
    assert len(found.ranks) == 8
    asked = retrieve(trained, split, "p", "v", count=2)
    assert asked.queries.tolist() == [101, 102, *range(104, 110)]
    with pytest.raises(DataError, match="--from p: none of the 3 items has all of it"):
        retrieve(trained, items(3, lacking=(0, 1, 2)), "v", "p")


def test_candidates_of_other_data_have_no_ranks(trained: TrainedModel) -> None:
    other = items(7)
    found = retrieve(trained, items(3), "v", "c,".rstrip(","), count=50, among=other)
    assert found.ids.shape == (3, 7)
    assert found.ranks is None
    with pytest.raises(UsageError, match="Unknown modality 'x'"):
        retrieve(trained, items(3), "x", "c")
