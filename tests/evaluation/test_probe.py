"""The probe says of each point what a count over its sorted distances says."""

from __future__ import annotations

import pytest
import torch

from mmvae.evaluation import probe as probes
from mmvae.evaluation.probe import nearest_classes, probe


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
    assert nearest_classes(points, known, classes, k).tolist() == wanted
    monkeypatch.setattr(probes, "CELLS", 100)  # chunks of two points
    assert nearest_classes(points, known, classes, k).tolist() == wanted


def test_a_tie_goes_to_the_nearest() -> None:
    known = torch.tensor([[1.0], [-2.0], [3.0], [-4.0]])
    assert nearest_classes(torch.zeros(1, 1), known, torch.tensor([2, 0, 2, 0]), 4).tolist() == [2]
    assert nearest_classes(torch.zeros(1, 1), known, torch.tensor([0, 2, 0, 2]), 4).tolist() == [0]


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
