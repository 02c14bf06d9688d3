"""A model that is far worse than before its training is told as such, wherever it is used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys import toy_config, toy_registry

import mmvae
from mmvae.experiments.evaluate import evaluate
from mmvae.report.hints import hints
from mmvae.training.untrained import diverged, far_below, untrained

WILD = {"learning_rate": 1.5, "epochs": 3}


def test_a_sound_training_is_not_remarked_on(tmp_path: Path) -> None:
    run = tmp_path / "r"
    mmvae.train(toy_config(), run_dir=run, registry=toy_registry())
    assert "diverged" not in (run / "log.txt").read_text(encoding="utf-8")
    result = evaluate(run, overrides=["evaluate.coherence=false"], registry=toy_registry())
    assert "diverged" not in result


@pytest.mark.parametrize("split", [0, 20])
def test_a_training_that_diverged_without_nan_is(tmp_path: Path, split: int) -> None:
    run = tmp_path / "r"
    config = toy_config(train=WILD, data={"source": "toy", "validation": split})
    mmvae.train(config, run_dir=run, registry=toy_registry())
    log = (run / "log.txt").read_text(encoding="utf-8")
    assert "The training has diverged" in log
    assert ("on validation items" if split else "on train items") in log
    result = evaluate(run, overrides=["evaluate.coherence=false"], registry=toy_registry())
    assert "The training has diverged" in result["diverged"]
    assert any("The training has diverged" in line for line in hints(result))
    assert json.loads((run / "evaluation.json").read_text())["diverged"] == result["diverged"]


def test_a_few_extreme_items_are_no_divergence() -> None:
    before, now = torch.full((100,), -10.0), torch.full((100,), -5.0)
    now[:5] = -1e20
    assert far_below(now, before, "x") is None
    assert far_below(-1e20 * torch.ones(100), before, "x") is not None


class Items:
    """The numbers of a thousand items, in the place of a split."""

    device = torch.device("cpu")

    def __len__(self) -> int:
        return 1000

    def fixed(self, rows: Tensor) -> Tensor:
        return rows


class Extreme(nn.Module):
    """A model whose loss is extreme for some items."""

    def __init__(self, at: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.at = at

    def phases(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="all")]

    def objective(self, name: str, items: Tensor, *rest: Any) -> SimpleNamespace:
        return SimpleNamespace(loss=torch.where(self.at(items), 1e20, 1.0))


@pytest.mark.parametrize("few", [True, False])
def test_the_first_items_of_a_sorted_split_decide_nothing(
    few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = Extreme(lambda items: items < 0)
    monkeypatch.setattr("mmvae.training.untrained.untrained", lambda *given: sound)
    model: Any = Extreme(lambda items: (items < 300) == few)
    split: Any = Items()
    assert (diverged(model, split, 100, 0) is None) == few


def test_new_weights_are_a_function_of_the_config(tmp_path: Path) -> None:
    result = mmvae.train(toy_config(), run_dir=tmp_path / "r", registry=toy_registry())
    once, again = (untrained(result.model.model).state_dict() for _ in range(2))
    trained = result.model.model.state_dict()
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert any(not torch.equal(once[name], trained[name]) for name in once)
