"""``mmvae compare`` prints its tables and ends with the documented codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from evaluated_runs import evaluated_run, nats

import mmvae as package

CELL = "image|label@single"


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    a = evaluated_run(tmp_path / "a", {CELL: nats(seed=1)}, name="one")
    config = {"model": {"alpha": 1.0}}
    b = evaluated_run(tmp_path / "b", {CELL: nats(2.0, seed=2)}, name="two", config=config)
    return a, b


def test_tables_without_a_terminal_are_plain_and_have_their_notes(mmvae, runs) -> None:
    result = mmvae("compare", *runs)
    assert (result.code, result.err) == (0, "")
    lines = result.out.splitlines()
    assert lines[0] == "Compared on 50 items of the test split; nats per item"
    assert any(line.split() == ["quantity", "one", "two"] for line in lines)
    assert "Differences from one, item by item" in lines
    assert any(line.startswith("≈: an estimate") for line in lines)
    assert "\x1b" not in result.out


def test_json_is_the_whole_comparison(mmvae, runs) -> None:
    result = mmvae("compare", *runs, "--baseline", runs[1], "--json")
    assert result.code == 0
    assert result.json() == package.compare(runs, baseline=runs[1]).as_dict()
    assert result.json()["baseline"] == "two"


def test_seeds_are_gathered_unless_told_not_to(mmvae, tmp_path: Path) -> None:
    seeds = [
        evaluated_run(tmp_path / str(i), {CELL: nats(seed=i)}, config={"train": {"seed": i}})
        for i in range(2)
    ]
    assert "made-up, 2 seeds" in mmvae("compare", *seeds).out
    assert "made-up (1)" in mmvae("compare", *seeds, "--no-group").out


def test_other_items_are_code_2_and_shown_with_a_remark_if_asked_for(
    mmvae, runs, tmp_path: Path
) -> None:
    other = evaluated_run(tmp_path / "c", {CELL: nats()}, name="three", data="beef")
    refused = mmvae("compare", *runs, other)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error: one (")
    shown = mmvae("compare", *runs, other, "--unpaired")
    assert shown.code == 0
    assert "on DIFFERENT items" in shown.out
    assert "Remark: one (" in shown.out


def test_mistakes_are_code_2(mmvae, runs, tmp_path: Path) -> None:
    assert mmvae("compare").code == 2
    assert mmvae("compare", tmp_path / "none").code == 2
    assert mmvae("compare", runs[0], runs[0]).code == 2
    assert mmvae("compare", *runs, "--baseline", tmp_path).code == 2
    (runs[1] / "evaluation.json").unlink()
    result = mmvae("compare", *runs)
    assert result.code == 2
    assert f"`mmvae evaluate {runs[1]} --bounds standard` writes it" in result.err


def test_a_damaged_manifest_is_code_5(mmvae, runs) -> None:
    (runs[0] / "model" / "MANIFEST.json").write_text("{}", encoding="utf-8")
    assert mmvae("compare", *runs).code == 5
