"""Columns: parts of one that may be larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mmvae.foundations.errors import UnsupportedValue
from mmvae.modalities.column import Column, LazyValues


class Counting(LazyValues):
    """Row numbers, with the sizes of what was read of them."""

    def __init__(self, rows: Sequence[int] | np.ndarray[Any, Any], sizes: list[int]) -> None:
        self.rows, self.sizes = np.asarray(rows), sizes

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Counting:
        return Counting(self.rows[np.asarray(rows)], self.sizes)

    def read(self) -> np.ndarray[Any, Any]:
        self.sizes.append(len(self))
        return self.rows


def test_a_column_is_read_part_by_part() -> None:
    sizes: list[int] = []
    column = Column(Counting(range(7), sizes))
    assert list(column.in_parts(lambda part: part.values.tolist(), 3)) == [
        [0, 1, 2],
        [3, 4, 5],
        [6],
    ]
    assert sizes == [3, 3, 1]
    assert list(Column([]).in_parts(len)) == []


@pytest.mark.parametrize(("row", "told"), [(1, 4), (None, None)])
def test_an_error_names_the_row_of_the_column(row: int | None, told: int | None) -> None:
    def use(part: Column) -> None:
        if 4 in part.values:
            raise UnsupportedValue(row, 4, "another number", "Correct it.")

    with pytest.raises(UnsupportedValue) as refused:
        list(Column(np.arange(7)).in_parts(use, 3))
    assert refused.value.row == told
    assert refused.value.said == "got 4, expected another number. Correct it."
