"""``mmvae retrieve`` writes neighbours and prints recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest


@pytest.fixture
def run(toy_plugin: None, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return toy_run


def test_neighbours_and_recall(mmvae: Any, run: Path) -> None:
    args = ("retrieve", run, "test", "--query", "v", "--from", "c,p", "--count", 3)
    result = mmvae(*args, "--out", "f.parquet")
    assert result.code == 0, result.err
    assert result.out.startswith("recall@1 ")
    assert "of 20 (by chance: recall@1 5 %, median rank 10.5)" in result.out
    found = pq.read_table("f.parquet").to_pydict()
    assert list(found) == ["id", "rank", "found", "distance"]
    assert found["rank"] == [1, 2, 3] * 20
    assert found["id"][::3] == list(range(80, 100))
    assert set(found["found"]) <= set(range(80, 100))
    figures = mmvae(*args, "--json").json()
    assert figures["queries"] == figures["candidates"] == 20
    assert f"{100 * figures['recall@1']:.1f} %" in result.out


def test_candidates_elsewhere_and_bad_names(mmvae: Any, run: Path) -> None:
    args = ("retrieve", run, "test", "--query", "v", "--from", "c")
    result = mmvae(*args, "--among", "train", "--out", "f.jsonl")
    assert (result.code, result.out) == (0, "")
    assert result.err == "Wrote f.jsonl: 10 for each of 20 items\n"
    for query, among, message in (
        ("vv", "train", "Unknown modality 'vv'"),
        ("v", "nowhere.csv", "neither a split"),
    ):
        bad = mmvae("retrieve", run, "test", "--query", query, "--from", "c", "--among", among)
        assert bad.code == 2
        assert message in bad.err
