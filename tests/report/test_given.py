"""Coherence by the number of given modalities is a table, row by row."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image
from studies import record

from mmvae.experiments.study.record import Record
from mmvae.report.given import coherence_lines, coherence_table


def judged(row: str, shares: dict[str, float], real: float = 0.98) -> Record:
    figures: dict[str, Any] = {k: {"mean": v, "error": 0.004} for k, v in shares.items()}
    own = {"v": {"mean": real, "error": 0.01}, "w": {"mean": real - 0.02, "error": 0.01}}
    matrix = {"c": {"cells": {}, "by size": figures, "classifier on real items": own}}
    return record(row, {"v": [1.0, 2.0]}, other={"coherence matrix": matrix})


def test_one_row_each_with_errors_and_what_the_judges_get_right() -> None:
    table = coherence_table("t", "c", [judged("a", {"1": 0.5, "2": 0.625}), judged("b", {"1": 1})])
    assert table.header == ("model", "1 given", "2 given", "real")
    assert table.rows == (
        ("the a one", "50.0 ± 0.4", "62.5 ± 0.4", "97.0"),
        ("the b one", "100.0 ± 0.4", "–", "97.0"),
    )
    assert "without c itself" in table.note


def test_numbers_of_given_modalities_are_in_the_order_of_numbers() -> None:
    shares = {"10": 0.5, "2": 0.4}
    assert coherence_table("t", "c", [judged("a", shares)]).header[1:3] == ("2 given", "10 given")


def test_rows_that_were_not_judged_by_these_classes_are_left_out() -> None:
    plain = record("b", {"v": [1.0, 2.0]})
    assert coherence_table("t", "c", [plain]).rows == ()
    assert coherence_table("t", "other", [judged("a", {"1": 0.5})]).rows == ()
    assert len(coherence_table("t", "c", [plain, judged("a", {"1": 0.5})]).rows) == 1


def test_a_panel_for_each_schedule_that_has_rows() -> None:
    rows, plain = [judged("a", {"1": 0.5, "2": 0.6})], [record("b", {"v": [1.0, 2.0]})]

    def width(**results: list[Record]) -> int:
        return Image.open(io.BytesIO(coherence_lines("c", results))).width

    assert width(full=rows, short=rows) > 1.5 * width(full=rows)
    assert width(full=rows, short=plain) == width(full=rows)
