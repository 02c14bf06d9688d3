"""Footprints: bytes per row, and how many rows a budget holds."""

from __future__ import annotations

import pytest
import torch

from mmvae.evaluation.memory import bytes_per_row, rows_within
from mmvae.foundations.errors import UsageError


def test_what_each_row_makes_is_counted_and_nothing_else() -> None:
    weight = torch.randn(10, 30)

    def run(rows: int) -> None:
        constant = torch.zeros(1000)  # is there once, whatever the rows
        made = torch.zeros(rows, 10) @ weight  # 10 and 30 floats a row
        made.view(-1).relu_()  # makes nothing
        constant.add_(1)

    assert bytes_per_row(run) == 4 * (10 + 30)


def test_rows_within_a_budget() -> None:
    assert rows_within(1, 1024, most=5000) == 1024
    assert rows_within(1, 1024, most=7) == 7
    with pytest.raises(UsageError, match="takes up to 3 MiB"):
        rows_within(2, 5 * 2**19 + 1, most=7)
