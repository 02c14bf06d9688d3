"""Results come back as they were kept; damage is told with the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from studies import record, toy_study

from mmvae.experiments.study.record import (
    first_steps,
    read_record,
    read_records,
    record_path,
    training_seconds,
    write_record,
)
from mmvae.foundations.errors import DataError


def test_a_record_comes_back(tmp_path: Path) -> None:
    kept = record("weak", {"v@single": [-1.0, -2.5]})
    path = write_record(tmp_path, kept)
    assert path == record_path(tmp_path, "toys", "short", "weak")
    assert read_record(path) == kept
    assert read_record(path).per_item("v@single").tolist() == [-1.0, -2.5]


def test_records_are_in_the_studys_order_by_schedule(tmp_path: Path) -> None:
    study = toy_study(tmp_path)
    for row in ("strong", "weak"):
        write_record(tmp_path, record(row, {"v@single": [-1.0, -2.5]}))
    found = read_records(tmp_path, study)
    assert {name: [r.row for r in records] for name, records in found.items()} == {
        "short": ["weak", "strong"]
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"format": 1', '"format": 2'),
        ('"items": 2', '"items": 3'),
        ('"k": 8', '"k": "eight"'),
        ('"k": 8', '"kay": 8'),
        ('"v@single": "', '"v@single": "!'),
        ("{", ""),
    ],
)
def test_damage_is_told_with_the_file(tmp_path: Path, old: str, new: str) -> None:
    path = write_record(tmp_path, record("weak", {"v@single": [-1.0, -2.5]}))
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"weak.json cannot be read: .*`mmvae reproduce` writes"):
        read_record(path)


def test_training_time_is_that_of_all_sessions() -> None:
    sessions = [1.0, 2.5, 4.0, 0.5, 3.0, 0.25]
    assert training_seconds([{"seconds": s} for s in sessions]) == 4.0 + 3.0 + 0.25


def test_the_first_steps_are_kept() -> None:
    readings = [{"step": s, "loss": float(s), "split": "train"} for s in (50, 200, 250)]
    assert [(r.step, r.loss) for r in first_steps(readings)] == [(50, 50.0), (200, 200.0)]
