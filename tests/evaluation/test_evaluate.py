"""The whole evaluation: JSON-able, repeatable, complete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from linear_gaussian import jmvae
from torch import Tensor
from toys import VectorCodec, VectorConfig

from mmvae.data.batches import Batches
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.evaluate import evaluate

from .generators import Generator


def test_every_figure_is_there_and_again_the_same(data) -> None:
    model = Generator(data.codecs).train()
    config = EvaluateConfig(bounds=["standard"], samples=3, coherence_samples=30, batch_size=64)
    result, again = (
        evaluate(model, data.batches("test"), config, data.batches("train")) for _ in range(2)
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result == again
    assert set(result["bounds"]) == {"elbo"}
    assert len(result["cells"]) == 9
    assert set(result["variation of information"]) == {"multiple", "single"}
    assert set(result["terms"]) == {"log_likelihood/v", "log_likelihood/c", "kl"}
    assert set(result["subset posteriors"]) == {"v", "c"}
    assert set(result["given"]) == {"v", "c", "v+c"}
    assert set(result["coherence"]) == {"c → v", "prior → v, c"}
    assert len(result["latent"]["kl per dimension"]) == result["latent"]["dimensions"] == 3
    assert set(result["gradient shares"]) == {"v", "c"}
    assert set(result["accuracy"]) == {"v → c"}
    assert (result["items"], result["split"], result["seed"]) == (200, "test", 0)
    assert result["left out"] == {}
    assert model.training, "left as it was"


def test_elbo_is_its_terms(data) -> None:
    result = evaluate(Generator(data.codecs), data.batches("test"), EvaluateConfig())
    terms = {name: figure["mean"] for name, figure in result["terms"].items()}
    total = terms["log_likelihood/v"] + terms["log_likelihood/c"] - terms["kl"]
    assert result["bounds"]["elbo"]["mean"] == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("wanted", "reason"), [(False, "evaluate.coherence = false"), (True, "no training items")]
)
def test_what_is_left_out_is_named(data, wanted: bool, reason: str) -> None:
    config = EvaluateConfig(coherence=wanted)
    result = evaluate(Generator(data.codecs), data.batches("test"), config)
    assert reason in result["left out"]["coherence"]
    assert "coherence" not in result


class Binarised(VectorCodec):
    """Cells that the fixed view draws anew, as a binarising image codec does."""

    def fixed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        return x + torch.randn(x.shape, generator=generator)


@pytest.fixture
def viewed(data) -> dict[str, Batches]:
    codecs = {"v": Binarised(VectorConfig()), "c": data.codecs["c"]}
    return {s: Batches(data.splits[s], codecs, data.columns) for s in ("train", "test")}


def test_figures_do_not_depend_on_the_size_of_batches(viewed) -> None:
    def figures(size: int) -> dict[str, Any]:
        config = EvaluateConfig(
            bounds=["standard"], samples=3, coherence_samples=50, batch_size=size
        )
        model = Generator(viewed["test"].codecs)
        return evaluate(model, viewed["test"], config, viewed["train"])

    def numbers(result: Any) -> Iterator[float]:
        for value in result.values():
            yield from numbers(value) if isinstance(value, dict) else [value]

    one, other = (
        [n for n in numbers(figures(size)) if isinstance(n, float)] for size in (200, 37)
    )
    assert one == pytest.approx(other, rel=1e-5)


def test_views_are_the_same_whatever_the_seed(viewed) -> None:
    """The seed governs z alone: figures without z stay as they are."""
    results = [
        evaluate(Generator(viewed["test"].codecs), viewed["test"], EvaluateConfig(seed=seed))
        for seed in (0, 1)
    ]
    assert results[0]["given"] == results[1]["given"]
    assert results[0]["terms"] != results[1]["terms"]


@pytest.mark.parametrize("wanted", [True, False])
def test_training_items_are_asked_for_only_if_something_is_judged(data, wanted: bool) -> None:
    asked: list[bool] = []

    def training() -> Batches:
        asked.append(True)
        return data.batches("train")

    config = EvaluateConfig(coherence=wanted, coherence_samples=30)
    evaluate(Generator(data.codecs), data.batches("test"), config, training)
    assert asked == [True] * wanted
    only = Batches(data.splits["test"], {"v": data.codecs["v"]}, data.columns)
    evaluate(jmvae(dict(only.codecs)), only, config, training)
    assert asked == [True] * wanted, "a modality alone has no pair to judge"
