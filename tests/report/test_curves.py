"""Curves show what was measured: no spike of a short span, nothing out of sight unsaid."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from mmvae.report import curves
from mmvae.report.curves import draw, joined, low_end

ORIGIN = {"origin": "toy", "experiment": SimpleNamespace(extensions={})}


def record(step: int, value: float, split: str = "train") -> dict:
    return {"step": step, "epoch": 1, "split": split, "elbo": value, "beta": step / 100}


def test_short_spans_count_with_their_neighbours() -> None:
    """Every 5 steps and at the ends of epochs of 6: spans 5, 1, 4, 2, and a last of 1."""
    values = {5: 1.0, 6: 100.0, 10: 2.0, 12: 3.0, 15: 5.0, 16: 50.0}
    found = joined([record(step, value) for step, value in values.items()])
    assert [r["step"] for r in found] == [5, 10, 16]
    assert [r["beta"] for r in found] == [0.05, 0.1, 0.16], "a weight is no mean"
    means = [1.0, (100 + 4 * 2) / 5, (2 * 3 + 3 * 5 + 50) / 6]
    assert [r["elbo"] for r in found] == pytest.approx(means)


def test_equal_spans_stay_as_they_are() -> None:
    records = [record(step, step**2) for step in (10, 20, 30)]
    assert joined(records) == records
    assert joined(records[:1]) == records[:1]


def test_values_out_of_sight_are_marked() -> None:
    panel = Figure().subplots()
    points = [(0, -1e6), *((step, float(step)) for step in range(1, 101)), (101, 1e6)]
    panel.plot(*zip(*points, strict=True))
    low_end(panel, points)
    low, high = panel.get_ylim()
    assert -20 < low < 1
    assert 99 < high < 120
    _, below, above = panel.lines
    assert (below.get_marker(), list(below.get_xdata())) == ("v", [0])
    assert (above.get_marker(), list(above.get_xdata())) == ("^", [101])
    assert all(low < y < high for line in (below, above) for y in line.get_ydata())


def test_few_values_are_all_in_sight() -> None:
    panel = Figure().subplots()
    points = [(step, 10.0**step) for step in range(10)]
    panel.plot(*zip(*points, strict=True))
    low_end(panel, points)
    low, high = panel.get_ylim()
    assert low < 1 < 1e9 < high


def test_a_single_validation_is_a_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(curves, "png", lambda figure: drawn.append(figure) or b"")
    train = [record(step, float(step)) for step in (1, 2)]
    draw({"training": train, "validation": [record(2, 3.0, "validation")]}, ["elbo"])
    markers = {line.get_label(): line.get_marker() for line in drawn[0].axes[0].lines}
    assert markers == {"training": "None", "validation": "o"}


def test_a_term_that_begins_later_has_a_panel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    records = [record(5, 1.0), record(10, 2.0) | {"critic/accuracy": 0.7}]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    shown: list[str] = []
    monkeypatch.setattr(curves, "draw", lambda splits, terms, bands: shown.extend(terms))
    run = SimpleNamespace(metrics=path, checkpoints=tmp_path / "checkpoints")
    curves.training_curves(SimpleNamespace(run=run, **ORIGIN))
    assert shown == ["elbo", "critic/accuracy", "beta"]


@pytest.mark.parametrize("huge", [1e308, float("inf"), 1e101])
def test_values_too_large_for_a_scale_are_marked(monkeypatch: pytest.MonkeyPatch, huge) -> None:
    figures: list[Figure] = []
    png = curves.png
    monkeypatch.setattr(curves, "png", lambda figure: figures.append(figure) or png(figure))
    values = [huge, 1.0, 2.0, -huge, float("nan")]
    records = [
        record(step, value) | {"errors": {"elbo": huge}} for step, value in enumerate(values, 1)
    ]
    assert draw({"training": joined(records), "validation": []}, ["elbo", "beta"])
    found = {line.get_marker(): list(line.get_xdata()) for line in figures[0].axes[0].lines}
    assert found["^"] == [1]
    assert found["v"] == [4]
    low, high = figures[0].axes[0].get_ylim()
    assert -10 < low < high < 10


def test_steps_of_any_size_are_drawn() -> None:
    records = [record(1, 0.0), record(2**63 - 1, 1.0)]
    assert draw({"training": joined(records)}, ["elbo", "beta"])


def test_only_so_many_panels_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"x{i}": 1.0 for i in range(1500)}
    shown: list[str] = []
    monkeypatch.setattr(curves, "draw", lambda splits, terms, bands=None: shown.extend(terms))
    for split, figure in (
        ("train", curves.training_curves),
        ("observed", curves.observed_curves),
    ):
        path = tmp_path / "metrics.jsonl"
        path.write_text("".join(json.dumps(record(s, 1.0, split) | many) + "\n" for s in (5, 10)))
        run = SimpleNamespace(metrics=path, checkpoints=tmp_path / "checkpoints")
        shown.clear()
        (picture,) = figure(SimpleNamespace(run=run, **ORIGIN))
        assert len(shown) == curves.MOST_PANELS
        assert "of 1,501" in picture.caption
        assert len(picture.caption) < 10_000


def test_a_very_long_name_of_a_term_is_shown_in_short() -> None:
    drawn = draw({"training": [record(1, 0.0) | {"x" * 100_000: 1.0}]}, ["x" * 100_000])
    assert len(drawn) < 1_000_000
