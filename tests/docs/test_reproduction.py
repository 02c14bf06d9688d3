"""The pages of the studies are what their results say, and trainings can be repeated."""

from __future__ import annotations

import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

import mmvae
from mmvae.experiments.config import load_experiment
from mmvae.experiments.study.record import (
    FIRST_STEPS,
    Record,
    first_steps,
    read_record,
    read_records,
)
from mmvae.experiments.study.row import load_rows
from mmvae.experiments.study.study import load_study
from mmvae.plugins.loader import load_registry
from mmvae.report.reproduction import page
from mmvae.runs.metrics_log import read_metrics

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
PAPER, MANY = Path("examples", "paper"), Path("examples", "many")
PAGES = {
    PAPER / "mnist.toml": "reproduction.md",
    PAPER / "celeba.toml": "reproduction-faces.md",
    PAPER / "digits.toml": "reproduction-digits.md",
    MANY / "many-modalities.toml": "many-modalities.md",
}
STUDIES = {path.stem: ROOT / path for path in PAGES}
FILES = sorted(RESULTS.glob("*/*/*.json"))
REPEATED = "jmvae-kl-0.1"
"""The row whose first steps are trained again."""


@pytest.fixture
def every_plugin() -> None:
    """The rows need first-party plugins."""
    installed = {distribution.name for distribution in distributions()}
    lacking = {p.parent.name for p in (ROOT / "plugins").glob("*/pyproject.toml")} - installed
    if lacking:
        pytest.skip(f"the studies use first-party plugins; not installed: {sorted(lacking)}")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_page_is_what_the_files_say(path: Path) -> None:
    study = load_study(ROOT / path)
    written = (ROOT / "docs" / PAGES[path]).read_text(encoding="utf-8")
    assert written == page(study, read_records(RESULTS, study)), (
        f"mmvae reproduce {path} --results docs/results --page docs/{PAGES[path]} writes it anew"
    )


def test_every_file_is_of_a_study_and_has_its_place() -> None:
    for path in FILES:
        record = read_record(path)
        assert path == RESULTS / record.study / record.schedule / f"{record.row}.json"
        assert record.row in load_study(STUDIES[record.study]).shown(record.schedule)


@pytest.mark.usefixtures("every_plugin")
@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(RESULTS)))
def test_results_are_of_the_config_that_their_row_has_now(path: Path) -> None:
    record, registry = read_record(path), load_registry()
    study = load_study(STUDIES[record.study])
    if record.row in study.config.elsewhere:
        return  # its config is that of another program
    [row] = load_rows(study, record.schedule, (), [record.row], registry)
    # Loaded again, so that a key that came later, with a default, makes no other config.
    kept = load_experiment(tomllib.loads(record.config), (), registry)
    assert kept.hash == row.recorded.hash
    assert kept.experiment.evaluate == row.recorded.experiment.evaluate
    assert kept.experiment.reference == row.recorded.experiment.reference


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(RESULTS)))
def test_every_mean_is_that_of_its_items(path: Path) -> None:
    record = read_record(path)
    assert record.nats.keys() == record.cells.keys()
    for cell, figure in record.cells.items():
        values = record.per_item(cell)
        assert len(values) == record.items
        assert values.mean() == pytest.approx(figure["mean"], rel=1e-6)
        error = values.std(ddof=1) / len(values) ** 0.5
        assert error == pytest.approx(figure["error"], rel=1e-4)


def repeat(record: Record, folder: Path, *overrides: str) -> None:
    """Train a row's first steps again and hold the losses against those that were kept."""
    config = tomllib.loads(record.config)
    mmvae.train(config, overrides=overrides, run_dir=folder, max_steps=FIRST_STEPS)
    readings = [r for r in read_metrics(folder / "metrics.jsonl") if r["split"] == "train"]
    now = {r.step: r.loss for r in first_steps(readings)}
    before = {r.step: r.loss for r in record.first_steps}
    assert max(before) == FIRST_STEPS
    assert now == pytest.approx(before, rel=1e-2)


@pytest.mark.usefixtures("every_plugin")
def test_the_first_steps_on_digits_can_be_repeated(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn carries the digits: pip install it")
    repeat(read_record(RESULTS / "digits" / "quick" / f"{REPEATED}.json"), tmp_path / "run")


@pytest.mark.usefixtures("every_plugin")
def test_the_first_steps_on_mnist_can_be_repeated(tmp_path: Path) -> None:
    root = ROOT / "data" / "mnist"
    if not root.is_dir():
        pytest.skip(f"put the four files of MNIST into {root} to train the first steps again")
    path = RESULTS / "mnist" / "short" / f"{REPEATED}.json"
    if not path.is_file():
        pytest.skip("there are no results on MNIST yet: mmvae reproduce examples/paper/mnist.toml")
    repeat(read_record(path), tmp_path / "run", f"data.root={root}")
