"""Figures are means with standard errors, nested by name."""

from __future__ import annotations

import math

import pytest
import torch

from mmvae.evaluation.statistics import ItemFigures, mean_and_error
from mmvae.foundations.errors import TrainingError


def test_standard_error_over_items() -> None:
    figure = mean_and_error(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    assert figure == {"mean": 3.0, "error": pytest.approx(math.sqrt(14 / 3) / 2)}


def test_one_item_has_no_error() -> None:
    assert mean_and_error(torch.tensor([2.5])) == {"mean": 2.5, "error": None}


def test_batches_of_any_size_give_one_summary() -> None:
    values = torch.randn(10, generator=torch.Generator().manual_seed(0))
    summaries = []
    for size in (10, 3, 1):
        figures = ItemFigures()
        for part in torch.split(values, size):
            figures.add({("given", "a", "b"): part, ("kl",): 2 * part})
        summaries.append(figures.summary())
    assert summaries[0] == summaries[1] == summaries[2]
    assert summaries[0]["given"]["a"]["b"] == mean_and_error(values)


def test_a_value_that_is_not_finite_is_named() -> None:
    figures = ItemFigures()
    figures.add({("bounds", "elbo"): torch.zeros(3)})
    figures.add({("bounds", "elbo"): torch.tensor([0.0, torch.inf])})
    with pytest.raises(TrainingError, match=r"bounds / elbo is inf for item 4 of the split"):
        figures.summary()
