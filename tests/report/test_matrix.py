"""The heat map of the coherence matrix."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image

from mmvae.report.matrix import coherence_maps, draw
from mmvae.report.tables import MOST_ROWS, tables

GREY = (221, 221, 221)


def evaluation(sets: int = 3) -> dict[str, Any]:
    figure = {"mean": 0.25, "error": 0.01}
    rows = {"a": {"b": figure, "c": figure}, "b": {"a": figure, "c": figure}, "a+b": {"c": figure}}
    cells = dict(list(rows.items())[:3]) | {f"s{i}": {"c": figure} for i in range(sets - 3)}
    matrix = {
        "cells": cells,
        "by size": {"1": {"mean": 0.25, "error": 0.01}, "2": {"mean": 0.5, "error": 0.02}},
        "classifier on real items": {"a": {"mean": 0.97, "error": 0.01}},
    }
    return {
        "modalities": ["a", "b", "c"],
        "split": "test",
        "coherence samples": 50,
        "left out": {},
        "coherence matrix": {"c": matrix},
    }


def test_a_map_for_each_label_with_its_numbers_and_how_to_read_it() -> None:
    material: Any = SimpleNamespace(evaluation=evaluation(), origin="Experiment toy.")
    (picture,) = coherence_maps(material)
    assert picture.name == "coherence-c"
    assert "right for 97.0 %" in picture.caption
    assert picture.numbers["a"]["b"]["mean"] == 0.25
    material.evaluation = {"modalities": ["a", "b"]}
    assert coherence_maps(material) == []


def share_of(colour: tuple[int, ...], png: bytes) -> float:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return float((abs(pixels - colour).sum(-1) < 6).mean())


def test_given_cells_are_grey_and_shares_have_the_colour_of_their_size() -> None:
    nan = float("nan")
    rows, columns = ["a", "b"], ["a", "b"]
    one = draw([[nan, 0], [0, 0]], rows, columns)
    two = draw([[nan, 0], [0, nan]], rows, columns)
    assert 1.8 < share_of(GREY, two) / share_of(GREY, one) < 2.2
    dark, bright = (draw([[v, v], [v, v]], rows, columns) for v in (0.0, 1.0))
    pixels = [np.asarray(Image.open(io.BytesIO(p)).convert("L")) for p in (dark, bright)]
    middle = [int(p[p.shape[0] // 2 - 12, p.shape[1] // 3]) for p in pixels]
    assert middle[0] < 60
    assert middle[1] > 180


def test_few_sets_are_a_table_and_many_are_left_to_the_picture() -> None:
    titles = [table.title for table in tables(evaluation())]
    assert titles == ["Coherence matrix: c", "Coherence by given modalities: c"]
    matrix, sizes = tables(evaluation())
    assert matrix.header == ("given", "a", "b", "c")
    assert matrix.rows[0] == ("a", "–", "25.0 % ± 1.0", "25.0 % ± 1.0")
    assert sizes.rows == (("1", "25.0 % ± 1.0"), ("2", "50.0 % ± 2.0"))
    (only,) = tables(evaluation(MOST_ROWS + 1))
    assert only.title == "Coherence by given modalities: c"
