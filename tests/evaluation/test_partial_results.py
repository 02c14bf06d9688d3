"""Partial results: what is kept is not computed again, whoever computed it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mmvae.evaluation.partial_results import PartialResults, spans
from mmvae.foundations.errors import RunError


def filled(partial: PartialResults, items: int, size: int, most: int = 99) -> list[slice]:
    done = []
    for span in list(partial.missing(items, size))[:most]:
        partial.keep(span, {"x": torch.arange(span.start, span.stop, dtype=torch.float64)})
        done.append(span)
    return done


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_items_keep_their_order_whoever_computes_them(tmp_path: Path, processes: int) -> None:
    parts = [PartialResults(tmp_path, {}, rank, processes) for rank in range(processes)]
    for partial in reversed(parts):
        filled(partial, 11, 2)
    assert parts[0].whole(11, 2)["x"].tolist() == list(range(11))


def test_a_stopped_evaluation_goes_on(tmp_path: Path) -> None:
    first = filled(PartialResults(tmp_path, {"k": 1}), 10, 3, most=2)
    second = filled(PartialResults(tmp_path, {"k": 1}), 10, 3)
    assert first + second == spans(10, 3)


def test_figures_made_otherwise_do_not_count(tmp_path: Path) -> None:
    filled(PartialResults(tmp_path, {"k": 1}), 10, 3)
    assert list(PartialResults(tmp_path, {"k": 2}).missing(10, 3)) == spans(10, 3)


def test_a_damaged_shard_is_computed_again(tmp_path: Path) -> None:
    partial = PartialResults(tmp_path, {})
    filled(partial, 4, 2)
    next(tmp_path.rglob("*-000000002.safetensors")).write_bytes(b"half a fi")
    with pytest.raises(RunError, match="items 0 to 1 are missing or damaged"):
        partial.whole(4, 2)
    assert filled(partial, 4, 2) == [slice(0, 2)]
    assert partial.whole(4, 2)["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "values",
    [
        {"y": torch.zeros(2, dtype=torch.float64)},
        {},
        {"x": torch.zeros(2, dtype=torch.float64), "y": torch.zeros(2, dtype=torch.float64)},
        {"x": torch.zeros(3, dtype=torch.float64)},
        {"x": torch.zeros(2, 1, dtype=torch.float64)},
        {"x": torch.zeros((), dtype=torch.float64)},
        {"x": torch.zeros(2)},
        {"x": torch.zeros(2, dtype=torch.int64)},
    ],
)
def test_a_shard_with_a_checksum_and_other_values_is_computed_again(
    tmp_path: Path, values: dict[str, torch.Tensor]
) -> None:
    partial = PartialResults(tmp_path, {})
    partial.keep(slice(0, 2), values)
    assert list(partial.missing(2, 2, ["x"])) == [slice(0, 2)]
    with pytest.raises(RunError, match="items 0 to 1 are missing or damaged"):
        partial.whole(2, 2, ["x"])


def test_several_processes_need_a_folder() -> None:
    with pytest.raises(RunError, match="through a run folder"):
        PartialResults(processes=2)


def test_what_is_done_with_is_removed_and_nothing_else(tmp_path: Path) -> None:
    done, stopped = (
        PartialResults(tmp_path / "parts", {"k": 1}),
        PartialResults(tmp_path / "parts", {"k": 2}),
    )
    filled(done, 4, 2)
    filled(stopped, 4, 2, most=1)
    done.remove()
    assert list(stopped.missing(4, 2)) == [slice(2, 4)], "another evaluation goes on"
    filled(stopped, 4, 2)
    stopped.remove()
    assert not (tmp_path / "parts").exists()
