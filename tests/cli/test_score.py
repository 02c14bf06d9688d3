"""``mmvae score`` writes bounds in nats, with their mean and its standard error."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch
from toys import ToySource, VectorCodec, toy_registry

from mmvae.cli.score import report_divergence
from mmvae.inference.model_folder import load_model


@pytest.fixture
def run(toy_plugin, toy_run, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return toy_run


def test_it_writes_each_item_and_prints_mean_and_error(mmvae, run, toy_run) -> None:
    result = mmvae("score", run, "test", "--out", "s.parquet", "--samples", 7)
    found = pyarrow.parquet.read_table("s.parquet").to_pydict()
    assert list(found) == ["id", "log_likelihood"]
    model = load_model(toy_run, toy_registry())
    scores = model.score(ToySource(ToySource.Config()).splits()["test"], 7).double().numpy()
    assert found["log_likelihood"] == scores.tolist()
    mean, error = scores.mean(), scores.std(ddof=1) / np.sqrt(20)
    assert result.out == (
        f"log p(v, c, p) ≥ {mean:.4f} ± {error:.4f} (standard error) nats per item; k = 7, "
        f"20 items, written to s.parquet\n"
        f"A single item's value is an estimate of its bound and may exceed its log p(x); the "
        f"mean over items is a lower bound.\n"
    )


def test_given_scores_some_modalities(mmvae, run) -> None:
    result = mmvae("score", run, "test", "--given", "c", "--out", "s.csv", "--json").json()
    assert result["modalities"] == ["c"]
    assert (result["items"], result["samples"], result["out"]) == (20, 100, "s.csv")
    assert -5 < result["mean"] <= 0, "a class has probability, not density"
    assert result["standard_error"] > 0


def test_more_samples_give_a_higher_bound(mmvae, run) -> None:
    few, many = (
        mmvae("score", run, "test", "--samples", k, "--out", "s.csv", "--json").json()["mean"]
        for k in (1, 500)
    )
    assert few < many


def test_one_item_has_no_standard_error(mmvae, run) -> None:
    Path("one.csv").write_text("c\nred\n")
    result = mmvae("score", run, "one.csv", "--out", "s.csv")
    assert result.code == 0
    assert "±" not in result.out
    assert "nan" not in result.out


def test_mistakes_end_with_2_and_write_nothing(mmvae, run) -> None:
    for options in (("--samples", 0), ("--given", "x"), ("--out", "s.txt")):
        result = mmvae("score", run, "test", "--out", "s.csv", *options)
        assert (result.code, result.out) == (2, "")
        assert not list(Path().iterdir())


def test_standardised_values_stand_beside_those_of_the_user(mmvae, run, monkeypatch) -> None:
    """As in an evaluation: Σ log s more nats, of what an item has."""
    scale = torch.tensor([0.5, 2.0, 10.0]).log()
    monkeypatch.setattr(VectorCodec, "log_scale", property(lambda codec: scale))
    Path("t.jsonl").write_text('{"v": [1, 0, 2], "c": "red"}\n{"v": null, "c": "blue"}\n')
    result = mmvae("score", run, "t.jsonl", "--samples", 5, "--out", "s.csv", "--json").json()
    rows = list(csv.DictReader(Path("s.csv").read_text().splitlines()))
    names = ("log_likelihood", "log_likelihood_standardised")
    nats, beside = (np.array([float(row[name]) for row in rows]) for name in names)
    np.testing.assert_allclose(beside - nats, [float(scale.sum()), 0.0], atol=1e-6)
    assert result["mean"] == pytest.approx(nats.mean())
    assert result["standardised"]["mean"] == pytest.approx(beside.mean())
    assert result["standardised"]["standard_error"] == pytest.approx(beside.std(ddof=1) / 2**0.5)
    told = mmvae("score", run, "t.jsonl", "--samples", 5, "--out", "s.csv").out
    assert f"standardised values that the networks see: {beside.mean():.4f} ± " in told
    labels = mmvae("score", run, "t.jsonl", "--given", "c", "--out", "s.csv", "--json").json()
    assert "standardised" not in labels
    assert Path("s.csv").read_text().splitlines()[0] == "id,log_likelihood"


def test_scores_far_below_those_of_an_untrained_model_are_told_as_such(
    mmvae, run, toy_run, monkeypatch
) -> None:
    def wild(path):
        model = load_model(toy_run, toy_registry())
        with torch.no_grad():
            for weights in model.model.parameters():
                weights *= 30
        return model

    assert "diverged" not in mmvae("score", run, "test", "--out", "s.csv").err
    monkeypatch.setattr("mmvae.experiments.train.load", wild)
    result = mmvae("score", run, "test", "--out", "s.csv")
    assert result.code == 0
    assert "warning: the median of log p over items is -" in result.err
    assert "The training has diverged" in result.err


def test_the_warning_is_about_a_sample_of_the_items(toy_run, monkeypatch, capsys) -> None:
    """The first items of a sorted table may be unlike the others."""
    model, split = load_model(toy_run, toy_registry()), ToySource(ToySource.Config()).splits()
    items = split["train"]
    monkeypatch.setattr("mmvae.inference.sampling.CHUNK", 20)
    few = len(items) // 4
    scores = torch.full((len(items),), -5.0, dtype=torch.float64)
    scores[:few] = -1e20
    report_divergence(model, items, scores, None, 0)
    assert "diverged" not in capsys.readouterr().err
    report_divergence(model, items, torch.where(scores < -10, -5.0, -1e20), None, 0)
    assert "diverged" in capsys.readouterr().err
