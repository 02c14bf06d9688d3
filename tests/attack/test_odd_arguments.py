"""Arguments in Python that no file can have as a name, and values that contain themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mmvae
from mmvae.data.memory import MemoryConfig, MemorySource
from mmvae.foundations.errors import short
from mmvae.modalities.column import Column
from mmvae.modalities.subsets import canonical
from mmvae.report.report import report

PATHS = ["a\0b", "\ud800", b"runs", 3, None]
CALLS: dict[str, Callable[[Any], Any]] = {
    "load": mmvae.load,
    "evaluate": mmvae.evaluate,
    "resume": mmvae.resume,
    "compare": lambda path: mmvae.compare([path, "b"]),
    "compare with a baseline": lambda path: mmvae.compare(["a", "b"], baseline=path or 3),
    "report": report,
    "train": mmvae.train,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("call", CALLS)
def test_a_path_that_is_none_is_refused(call: str, path: Any) -> None:
    with pytest.raises(mmvae.UsageError, match="expected a path, a text of valid Unicode"):
        CALLS[call](path)


def recursive() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep() -> list[Any]:
    found: list[Any] = [1.0]
    for _ in range(5000):
        found = [found]
    return found


INSIDE: dict[str, Callable[[Any], Any]] = {
    "lists": lambda value: [value] * 6,
    "after a number": lambda value: [[1.0, value]] * 6,
    "a table of objects": lambda value: np.array([value, None] * 3, object),
    "a column": lambda value: Column([value] * 6),
    "tables": lambda value: [{"a": value}] * 6,
}


@pytest.mark.parametrize("value", [recursive, deep])
@pytest.mark.parametrize("inside", INSIDE)
def test_values_that_contain_themselves_are_refused(inside: str, value: Any) -> None:
    data = {"v": INSIDE[inside](value())}
    with pytest.raises(mmvae.DataError, match="nested too deeply, or contains itself"):
        MemorySource(MemoryConfig(), data).fingerprint()


@pytest.mark.parametrize("value", [recursive, deep])
def test_a_value_that_contains_itself_is_shown(value: Any) -> None:
    assert "..." in short(value()) or "nested too deeply" in short(value())


@pytest.mark.parametrize("names", [5, None, [5], [recursive()], [deep()], [["v"]]])
def test_modalities_that_are_no_names_are_refused(names: Any) -> None:
    with pytest.raises(mmvae.UsageError, match=r"expected its name; this model has v, w\."):
        canonical(names, ("v", "w"))
