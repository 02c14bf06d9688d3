"""Splits: rows and ids stay together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mmvae.data.source import SourceConfig, Split
from mmvae.modalities.column import Column


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.lists(st.integers(0, 3), max_size=4))
def test_taken_rows_keep_their_ids_and_values(rows: list[int], again: list[int]) -> None:
    split = Split(
        {"a": Column(np.arange(10) * 2), "l": Column([str(i) for i in range(10)], ("x",), "f")},
        [f"id{i}" for i in range(10)],
    )
    taken = split.take(rows)
    assert len(taken) == len(rows)
    assert [str(i) for i in taken.ids] == [f"id{i}" for i in rows]
    assert taken.columns["a"].values.tolist() == [2 * i for i in rows]
    assert taken.columns["l"].values == [str(i) for i in rows]
    assert (taken.columns["l"].names, taken.columns["l"].origin) == (("x",), "f")
    inner = [i for i in again if i < len(rows)]
    assert taken.take(inner).columns["l"].values == [str(rows[i]) for i in inner]


@pytest.mark.parametrize("keys", [{"resident": "yes please"}, {"resident_gib": 0}, {"rsident": 1}])
def test_a_bad_key_of_data_is_refused(keys: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(keys))):
        SourceConfig(**keys)
