"""What is read back is what was evaluated; anything else is refused with the file's name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from evaluated_runs import (
    evaluated_run,
    nats,
    read_evaluation,
    write_evaluation,
    write_items,
)

from mmvae.evaluation.query import Cell
from mmvae.experiments.comparison.compare import compare
from mmvae.experiments.comparison.evaluated import open_evaluated
from mmvae.foundations.errors import CheckpointError, RunError
from mmvae.runs.checkpoint_folder import write_folder
from mmvae.runs.checkpoint_store import CheckpointStore

CELL = "image|label@single"
AGAIN = r"`mmvae evaluate .*` writes it (again|anew)\."


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return evaluated_run(tmp_path / "run", {CELL: nats()})


def change(run: Path, **keys: object) -> None:
    write_evaluation(run, {**read_evaluation(run), **keys})


def rewrite(run: Path, values: np.ndarray, name: str = CELL, **made_with: str) -> None:
    evaluation = read_evaluation(run)
    usual = {key: evaluation[key] for key in ("weights", "data", "split")}
    write_items(run, {name: values}, {**usual, **made_with})


def test_items_are_by_cell_in_the_order_of_the_split(run: Path) -> None:
    cell = Cell(("image",), ("label",), ("label",))
    opened = open_evaluated(run)
    assert opened.items[cell].numpy().tolist() == nats().tolist()
    assert opened.cells[cell].given_from == "q(z | label), 1000 samples"
    assert opened.folder == run


def test_a_run_without_an_evaluation_is_told_how_to_make_one(run: Path) -> None:
    (run / "evaluation.json").unlink()
    with pytest.raises(
        RunError, match=f"was not evaluated: .* `mmvae evaluate {run} --bounds standard` writes it"
    ):
        open_evaluated(run)


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", "\xff", '{"name": 3}'], ids=["cut", "list", "empty", "text", "type"]
)
def test_a_damaged_evaluation_is_refused(run: Path, text: str) -> None:
    (run / "evaluation.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=rf"evaluation\.json cannot be read: .*{AGAIN}"):
        open_evaluated(run)


def test_a_figure_that_is_no_number_is_named(run: Path) -> None:
    change(run, bounds={"elbo": {"mean": "high"}})
    with pytest.raises(RunError, match=r"cannot be read: bounds\.elbo\.mean: "):
        open_evaluated(run)


def test_figures_of_other_weights_are_outdated(run: Path) -> None:
    shutil.rmtree(run / "model")
    (run / "model").mkdir()
    write_folder(run / "model", 9, {"model": {"w": torch.ones(2)}}, {})
    with pytest.raises(RunError, match=rf"evaluation\.json is outdated: its weights, .*{AGAIN}"):
        open_evaluated(run)


def test_the_latest_checkpoint_counts_while_there_is_no_final_model(run: Path) -> None:
    shutil.rmtree(run / "model")
    with pytest.raises(CheckpointError, match="latest cannot be read"):
        open_evaluated(run)
    saved = CheckpointStore(run / "checkpoints").save(3, {"model": {"w": torch.zeros(1)}}, {})
    with pytest.raises(RunError, match="is outdated"):
        open_evaluated(run)
    weights = CheckpointStore(run / "checkpoints").load(saved).digests["model"]
    change(run, weights=weights)
    rewrite(run, nats())
    assert open_evaluated(run).evaluation.weights == weights
    assert not open_evaluated(run).finished
    assert f"{run} is unfinished" in compare([run]).remarks[0]


def test_of_a_finished_run_nothing_is_remarked(run: Path) -> None:
    assert open_evaluated(run).finished
    assert compare([run]).remarks == ()


def test_a_damaged_manifest_is_a_damaged_checkpoint(run: Path) -> None:
    manifest = run / "model" / "MANIFEST.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"step": 7', b'"step": 8'))
    with pytest.raises(CheckpointError, match="is damaged"):
        open_evaluated(run)


def cut(run: Path) -> None:
    path = run / "evaluation.items.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run / "evaluation.items.safetensors").unlink(), "is missing: expected"),
        (cut, "cannot be read: "),
        (lambda run: rewrite(run, nats(n=49)), r"float64 of shape \(49,\).*expected 50 float64"),
        (lambda run: rewrite(run, nats().astype("float32")), r"holds torch\.float32"),
        (lambda run: rewrite(run, nats(), "image@single"), "has no cell 'image|label@single'"),
        (lambda run: rewrite(run, nats(1.0)), "of another evaluation: the mean of 'image"),
        (lambda run: rewrite(run, nats() * np.nan), "the mean of 'image"),
        (lambda run: rewrite(run, nats(), weights="0" * 64), "evaluation: weights = '000"),
        (lambda run: rewrite(run, nats(), split="train"), "split = 'train', expected 'test'"),
        (lambda run: rewrite(run, nats(), data="beef"), "data = 'beef', expected 'f00d'"),
    ],
    ids=["missing", "cut", "length", "type", "cell", "values", "nan", "weights", "split", "data"],
)
def test_items_that_are_not_those_of_the_figures_are_refused(
    run: Path, damage: Callable[[Path], None], said: str
) -> None:
    damage(run)
    with pytest.raises(RunError, match=rf"evaluation\.items\.safetensors .*{said}.*{AGAIN}"):
        open_evaluated(run)


def test_without_cells_no_items_are_needed(run: Path) -> None:
    change(run, cells={})
    (run / "evaluation.items.safetensors").unlink()
    assert open_evaluated(run).items == {}


def test_a_malformed_cell_is_named_with_its_file(run: Path) -> None:
    sections = {"reference": {"row": "R", "source": "S", "bounds": {"sound@single": -1.0}}}
    other = evaluated_run(run.parent / "other", {CELL: nats()}, config=sections)
    with pytest.raises(RunError, match=r"config\.resolved\.toml: .*'sound@single'"):
        open_evaluated(other)


@pytest.mark.parametrize("text", ["[data", "[data]\nsource = 'toy'", "\xff"])
def test_a_damaged_configuration_is_refused(run: Path, text: str) -> None:
    (run / "config.resolved.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"config\.resolved\.toml cannot be read: .*Restore"):
        open_evaluated(run)
