"""The probe says of each point what a count over its sorted distances says."""

from __future__ import annotations

import pytest
import torch

from mmvae.evaluation import nearest_neighbours as probes
from mmvae.evaluation.nearest_neighbours import nearest_classes, probe


def counted(point: torch.Tensor, known: torch.Tensor, classes: torch.Tensor, k: int) -> int:
    """The plain reading: sort all distances, count, let the nearer decide a tie."""
    order = sorted(range(len(known)), key=lambda i: float((known[i] - point).norm()))[:k]
    votes = [int(classes[i]) for i in order]
    most = max(map(votes.count, votes))
    return next(c for c in votes if votes.count(c) == most)


@pytest.mark.parametrize("k", [1, 2, 5, 100])
def test_it_is_the_count_over_the_nearest(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = torch.Generator().manual_seed(0)
    known, points = torch.randn(40, 3, generator=source), torch.randn(25, 3, generator=source)
    classes = torch.randint(0, 4, (40,), generator=source)
    wanted = [counted(point, known, classes, k) for point in points]
    told = nearest_classes(points, known, classes, k)
    assert told.sum(1).tolist() == [1] * 25
    assert told.int().argmax(1).tolist() == wanted
    monkeypatch.setattr(probes, "CELLS", 100)  # chunks of two points
    assert nearest_classes(points, known, classes, k).equal(told)


def test_a_tie_goes_to_the_nearest() -> None:
    known = torch.tensor([[1.0], [-2.0], [3.0], [-4.0]])
    for classes in ([2, 0, 2, 0], [0, 2, 0, 2]):
        told = nearest_classes(torch.zeros(1, 1), known, torch.tensor(classes), 4)
        assert told.nonzero().tolist() == [[0, classes[0]]]


def test_what_lies_at_one_distance_shares_the_last_places_in_any_order() -> None:
    """Of three neighbours one is at 1, of class 0; two of the four at 2, one of class 0."""
    known = torch.tensor([[1.0], [2.0], [-2.0], [2.0], [-2.0], [9.0]])
    classes = torch.tensor([0, 1, 1, 1, 0, 2])
    # Class 1 has 2 · 3/4 = 1.5 votes and class 0 has 1 + 2 · 1/4 = 1.5: the nearer one leads.
    for order in (torch.arange(6), torch.tensor([3, 5, 1, 4, 2, 0])):
        told = nearest_classes(torch.zeros(1, 1), known[order], classes[order], 3)
        assert told.tolist() == [[True, False, False]]


@pytest.mark.parametrize("counts", [[25, 25, 25, 25], [70, 20, 10]])
def test_a_model_that_puts_all_on_one_point_is_right_by_chance(counts: list[int]) -> None:
    classes = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    z = torch.ones(100, 2)
    for order in (torch.arange(100), torch.arange(99, -1, -1)):
        right = probe(z[:20], classes[::5], z, classes[order])
        assert float(right.mean()) == pytest.approx(max(counts) / 100)


def test_a_class_that_no_known_item_has_is_never_right() -> None:
    z = torch.ones(2, 2)
    assert probe(z, torch.tensor([0, 5]), z, torch.tensor([0, 0])).tolist() == [1, 0]


def test_classes_apart_are_found_and_classes_in_one_place_are_not() -> None:
    source = torch.Generator().manual_seed(1)
    classes = torch.arange(2000) % 4
    noise = torch.randn(2000, 2, generator=source)
    apart = noise + torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]])[classes]
    half = slice(0, 1000), slice(1000, 2000)
    told = probe(apart[half[0]], classes[half[0]], apart[half[1]], classes[half[1]])
    assert told.dtype == torch.float32
    guessed = probe(noise[half[0]], classes[half[0]], noise[half[1]], classes[half[1]])
    assert float(guessed.mean()) == pytest.approx(0.25, abs=0.05)
    assert float(told.mean()) == 1
