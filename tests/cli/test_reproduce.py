"""``mmvae reproduce`` trains, skips, prints tables and writes the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from studies import STUDY, write_study

Mmvae = Callable[..., "Result"]  # noqa: F821  # of conftest.py


@pytest.fixture
def study(toy_plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path / "study")
    return Path("study/toys.toml")


def test_the_tables_are_printed_and_the_results_kept(mmvae: Mmvae, study: Path) -> None:
    done = mmvae("reproduce", study, "--schedule", "short")
    assert done.code == 0, done.err
    assert "row 1 of 2, weak: training in runs/toys/short/weak" in done.err
    assert "row 2 of 2, strong: results in runs/results/toys/short/strong.json" in done.err
    for part in ("log p(v)", "within 1.5 or better", "α = 0.1", "Claims of the paper"):
        assert part in done.out
    again = mmvae("reproduce", study, "--schedule", "short")
    assert (again.code, again.out) == (0, done.out)
    assert "skipped" in again.err
    assert "step" not in again.err


def test_the_folders_may_be_elsewhere(mmvae: Mmvae, study: Path, tmp_path: Path) -> None:
    given = ("--runs", "a/b", "--results", "c", "--only", "weak", "-s", "train.epochs=1")
    done = mmvae("--quiet", "reproduce", study, *given)
    assert (done.code, done.err) == (0, "")
    assert "Rows without results so far: strong." in done.out
    assert (tmp_path / "a/b/weak/status.json").is_file()
    assert (tmp_path / "c/toys/full/weak.json").is_file()


def test_the_page_is_written_without_training(mmvae: Mmvae, study: Path) -> None:
    nothing = mmvae("reproduce", study, "--page", "page.md")
    assert nothing.code == 2
    assert "there are no results of study/toys.toml" in nothing.err
    mmvae("reproduce", study, "--schedule", "short")
    done = mmvae("reproduce", study, "--page", "page.md")
    assert (done.code, done.out) == (0, "page.md\n")
    assert "## Schedule `short`: two epochs" in Path("page.md").read_text(encoding="utf-8")


def test_trials_do_not_go_where_the_results_of_the_study_are(mmvae: Mmvae, study: Path) -> None:
    done = mmvae("reproduce", study, "-s", "train.epochs=1")
    assert done.code == 2
    assert "-s train.epochs=1 makes other rows than the study's" in done.err
    assert not Path("runs").exists(), "nothing was trained"


def test_a_limit_leaves_rows_to_go_on_with(mmvae: Mmvae, study: Path) -> None:
    done = mmvae("reproduce", study, "--max-steps", "2")
    assert done.code == 0
    assert done.out == "Rows without results so far: weak, strong.\n"
    done = mmvae("reproduce", study)
    assert "resuming runs/toys/full/weak after step 2" in done.err


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--schedule", "shrot"), "no schedule 'shrot', only full, short. Did you mean 'short'?"),
        (("--only", "week"), "no row 'week'"),
        (("-s", "train.epoch=1", "--results", "r"), "Did you mean 'epochs'?"),
        (("--page", "p.md", "--only", "weak"), "--only: --page trains nothing"),
        (("--page", "p.md", "-s", "train.epochs=1"), "-s: --page trains nothing"),
        (("--page", "nowhere/p.md"), "no results"),
    ],
)
def test_wrong_options(mmvae: Mmvae, study: Path, args: tuple[str, ...], message: str) -> None:
    done = mmvae("reproduce", study, *args)
    assert done.code == 2
    assert message in done.err


@pytest.mark.parametrize("args", [(), ("--page", "page.md")])
def test_one_of_several_processes_is_refused(
    mmvae: Mmvae, study: Path, args: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WORLD_SIZE", "2"), ("RANK", "0"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    done = mmvae("reproduce", study, *args)
    assert done.code == 2
    assert "WORLD_SIZE = 2: reproduce needs a process alone" in done.err


def test_wrong_studies(mmvae: Mmvae, study: Path) -> None:
    assert mmvae("reproduce", "none.toml").code == 2
    write_study(study.parent, STUDY.replace("tolerance", "tolerant"))
    done = mmvae("reproduce", study)
    assert done.code == 2
    assert "toys.toml:11: schedules.short.tolerant = 1.5: unknown key. Did you mean" in done.err


def test_a_run_of_another_config_is_left_alone(mmvae: Mmvae, study: Path) -> None:
    mmvae("reproduce", study, "--only", "weak", "--max-steps", "2")
    done = mmvae("reproduce", study, "-s", "model.alpha=0.5", "--results", "r")
    assert done.code == 2
    assert "runs/toys/full/weak is a run of another config" in done.err
    assert not Path("runs/toys/full/strong").exists()
