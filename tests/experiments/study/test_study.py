"""A study is read whole or refused with the line to mend."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from studies import STUDY, toy_study, write_study

from mmvae.experiments.study.study import load_study
from mmvae.foundations.errors import ConfigError, UsageError


def test_rows_are_named_by_their_files(tmp_path: Path) -> None:
    study = toy_study(tmp_path)
    assert study.name == "toys"
    assert study.rows == {name: tmp_path / f"{name}.toml" for name in ("weak", "strong")}
    assert study.chosen("full", []) == ["weak", "strong"]
    assert study.chosen("full", ["strong"]) == ["strong"]


def test_the_first_schedule_is_the_one_unless_told_otherwise(tmp_path: Path) -> None:
    study = toy_study(tmp_path)
    assert study.schedule(None)[0] == "full"
    assert study.schedule("short")[1].set == ["train.epochs=2"]
    assert study.schedule("short")[1].tolerance == 1.5


def test_a_study_without_schedules_trains_rows_as_they_say(tmp_path: Path) -> None:
    text = 'title = "Toys"\nrows = ["weak.toml"]\n'
    name, schedule = toy_study(tmp_path, text).schedule(None)
    assert (name, schedule.set) == ("full", [])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Toys"', "", "title: this key is required"),
        ('title = "Toys"', "titel = 1", r"toys.toml:1: titel = 1: unknown key. Did you mean"),
        (
            '["weak.toml", ',
            '["weka.toml", ',
            r":4: rows\[0\] = \"weka.toml\": no such file .*weak",
        ),
        ('["weak.toml", ', '["weak.toml", "weak.toml", ', "another row is named 'weak' too"),
        ("tolerance = 1.5", "tolerance = -1", r":11: schedules.short.tolerance = -1: expected"),
        ("tolerance = 1.5", "epochs = 3", r":11: schedules.short.epochs = 3: unknown key"),
        ("[schedules.short]", '[schedules."a/b"]', r"schedules"),
        ('"v|c@single"]', '"v|@single"]', r":19: tables\[1\].cells\[0\]: .*a name is missing"),
        ('cell = "v@single"', 'cell = "v|v"', r":23: claims\[0\].cell: .*both a target and given"),
        (
            'rising = ["weak"',
            'rising = ["weka"',
            r":24: claims\[0\].rising: there is no row 'weka'",
        ),
        ('row = "weak"', 'row = "wek"', r":30: claims\[1\].row: .*Did you mean 'weak'"),
        ('row = "weak"', "", "expected either rising = .* or row and below"),
        ("below = -3.0", 'rising = ["weak", "strong"]', "expected either rising"),
        ('title = "Toys"', "title = Toys", "toys.toml:1: not valid TOML"),
    ],
)
def test_a_mistake_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in STUDY
    path = write_study(tmp_path, STUDY.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        load_study(path)


def test_a_missing_study_names_its_neighbour(tmp_path: Path) -> None:
    write_study(tmp_path)
    with pytest.raises(ConfigError, match=r"toy.toml: no such file. Did you mean .*toys.toml"):
        load_study(tmp_path / "toy.toml")


def test_unknown_schedules_and_rows_are_refused(tmp_path: Path) -> None:
    study = toy_study(tmp_path)
    with pytest.raises(UsageError, match=r"no schedule 'shrot', only full, short. Did you mean"):
        study.schedule("shrot")
    message = "no row 'week' on schedule 'full', only weak, strong. Did you"
    with pytest.raises(UsageError, match=re.escape(message)):
        study.chosen("full", ["weak", "week"])


SOME = STUDY.replace("[schedules.full]", '[schedules.full]\nrows = ["other", "weak"]').replace(
    "[schedules.full]", 'elsewhere = ["other"]\n[schedules.full]', 1
)


def test_a_schedule_may_be_for_some_rows_and_rows_may_be_trained_elsewhere(
    tmp_path: Path,
) -> None:
    study = toy_study(tmp_path, SOME)
    assert study.shown("full") == ["weak", "other"]
    assert study.chosen("full", []) == ["weak"]
    assert study.shown("short") == ["weak", "strong", "other"]
    assert study.chosen("short", []) == ["weak", "strong"]
    for name in ("strong", "other"):
        with pytest.raises(UsageError, match=f"no row '{name}' on schedule 'full', only weak"):
            study.chosen("full", [name])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('rows = ["other", "weak"]', 'rows = ["wek"]', r"full.rows\[0\]: there is no row 'wek'"),
        ('elsewhere = ["other"]', 'elsewhere = ["weak", "other"]', r"elsewhere\[0\]: another row"),
        ('cells = ["v|c@single"]', "", r"tables\[1\].*expected either cells"),
        ('cells = ["v|c@single"]', 'cells = ["v"]\ncoherence = "c"', "expected either cells"),
    ],
)
def test_mistakes_of_rows_and_tables_are_told(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SOME
    with pytest.raises(ConfigError, match=message):
        toy_study(tmp_path, SOME.replace(old, new))
