"""The work of a large evaluation is told before it, with the key that limits it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from toys import toy_config, toy_registry

import mmvae
from mmvae.evaluation import cost
from mmvae.evaluation.coherence_matrix import given_sets, without_pairs
from mmvae.evaluation.cost import costs
from mmvae.experiments.open_run import open_run


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 22 modalities, two of them with classes."""
    run = tmp_path_factory.mktemp("many") / "r"
    names = [f"v{i}" for i in range(20)]
    modalities = {m: {"codec": "toy-vector", "column": "v"} for m in names}
    modalities |= {c: {"codec": "toy-class", "column": "c"} for c in ("c", "d")}
    config = toy_config(modalities=modalities)
    config["train"]["epochs"] = 1
    mmvae.train(config, run_dir=run, registry=toy_registry())
    return run


def test_a_small_evaluation_is_not_remarked_on(toy_run: Path) -> None:
    opened = open_run(toy_run, registry=toy_registry())
    split = opened.data.batches("test")
    assert list(costs(opened.trained.model, split, opened.experiment.evaluate)) == []
    assert without_pairs(opened.trained.model) is None


def test_a_large_one_is_told_of_with_its_keys(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "MANY", 10_000)
    monkeypatch.setattr(cost, "MANY_JUDGES", 20)
    keys = ["evaluate.bounds=['standard']"]
    opened = open_run(many, None, keys, toy_registry())
    found = "\n".join(
        costs(opened.trained.model, opened.data.batches("test"), opened.experiment.evaluate)
    )
    assert re.search(r"\d+ likelihood queries of 20 items with 1000 samples", found)
    assert "trains 42 classifiers" in found
    assert "evaluate.coherence_samples" in found
    for key in ("bounds", "samples", "split", "coherence = false"):
        assert f"evaluate.{key}" in found


def test_pairs_of_very_many_modalities_are_left_out_with_a_remark(many: Path) -> None:
    model = open_run(many, registry=toy_registry()).trained.model
    assert {len(s) for s in given_sets(model)} <= {1, 21}
    assert "231 pairs of 22 modalities" in str(without_pairs(model))
