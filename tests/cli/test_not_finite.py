"""A model that gives NaN ends every command that writes, and leaves nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import toy_items

from mmvae.models.jmvae import JMVAE
from mmvae.models.posteriors import DiagonalGaussian


@pytest.fixture
def run(toy_plugin: None, toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return toy_run


@pytest.fixture
def table() -> Path:
    """Three rows, of which one lacks c and one v."""
    x = toy_items(3, seed=3)
    place = Path("given.jsonl")
    rows = [
        {"v": None if i == 1 else x["v"][i].tolist(), "c": None if i == 2 else int(x["c"][i])}
        for i in range(3)
    ]
    place.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def spoiled(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let a decoder, or a posterior, overflow for the second item."""
    real = getattr(JMVAE, method)

    def spoil(self: JMVAE, *args: Any) -> Any:
        found = real(self, *args)
        if method == "parameters_of":
            if len(found) == 1:  # as when a model is tried out while it is loaded
                return found
            return found.index_fill(0, torch.tensor([1]), torch.nan)
        return DiagonalGaussian(found.mean * torch.nan, found.log_variance)

    monkeypatch.setattr(JMVAE, method, spoil)


def refused(result: Any, *words: str) -> None:
    assert result.code == 1, result.err
    assert "Traceback" not in result.err
    for word in ("Nothing is written.", "expected finite numbers", *words):
        assert word in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("to", "out"), [("p", "pictures"), ("p", "sheet.png"), ("v", "v.npz"), ("c", "c.csv")]
)
@pytest.mark.parametrize("sample", [(), ("--sample",)])
def test_nothing_is_generated(mmvae, run, monkeypatch, to: str, out: str, sample: tuple) -> None:
    """Labels too: of NaN, the likeliest class would be any."""
    spoiled(monkeypatch, "parameters_of")
    options = ("--given", f"{'v=1,0,0' if to != 'v' else 'c=red'}", "--count", 3, "--to", to)
    result = mmvae("generate", run, *options, "--out", out, *sample)
    refused(result, f"{to}: the decoder's output of item 1 is nan", "1 of 3 items")
    assert list(Path().iterdir()) == []


def test_a_temperature_that_overflows_is_named(mmvae, run) -> None:
    result = mmvae("generate", run, "--to", "v", "--temperature", 1e39, "--out", "v.csv")
    refused(result, "v: the latent z of item 0 is", "lower the temperature")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("by", ["mode", "mean", "sample"])
@pytest.mark.parametrize("method", ["parameters_of", "posterior"])
def test_no_gap_is_filled(mmvae, run, table, monkeypatch, by: str, method: str) -> None:
    spoiled(monkeypatch, method)
    result = mmvae("impute", run, table, "--out", "filled.jsonl", "--by", by)
    refused(result, "nan")
    assert list(Path().iterdir()) == [table]


def test_nothing_is_embedded_scored_or_retrieved(mmvae, run, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        spoiled(patch, "posterior")
        result = mmvae("embed", run, "test", "--given", "v", "--out", "z.npz")
        refused(result, "v: the latent z of item 0 is nan", "20 of 20 items")
        retrieval = ("--query", "v", "--from", "c", "--out", "found.csv")
        refused(mmvae("retrieve", run, "test", *retrieval), "latent z")
    spoiled(monkeypatch, "parameters_of")
    options = ("--given", "v", "--samples", 2, "--out", "s.parquet")
    result = mmvae("score", run, "test", *options)
    refused(result, "the bound of the log-likelihood of item 1 is nan")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("kind", ["reconstructions", "generated"])
def test_no_figure_is_drawn(mmvae, run, monkeypatch, kind: str) -> None:
    spoiled(monkeypatch, "parameters_of")
    result = mmvae("figures", kind, run, "--out", "figure.png")
    refused(result, "the decoder's output of item")
    assert list(Path().iterdir()) == []


def test_weights_that_are_not_finite_are_the_cause(mmvae, run, monkeypatch) -> None:
    real = JMVAE.parameters_of

    def diverged(self: JMVAE, *args: Any) -> Any:
        with torch.no_grad():
            next(self.decoders["v"].parameters()).fill_(torch.nan)
        return real(self, *args)

    monkeypatch.setattr(JMVAE, "parameters_of", diverged)
    result = mmvae("generate", run, "--to", "v", "--out", "v.csv")
    refused(result, "The weights decoders.v", "train.learning_rate")
    assert list(Path().iterdir()) == []
