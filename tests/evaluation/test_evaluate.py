"""The whole evaluation: JSON-able, repeatable, complete."""

from __future__ import annotations

import json

import pytest

from mmvae.evaluation.evaluate import evaluate
from mmvae.settings import EvaluateConfig

from .generators import Generator


def test_every_figure_is_there_and_again_the_same(data) -> None:
    model = Generator(data.codecs).train()
    config = EvaluateConfig(samples=3, coherence_samples=30, batch_size=64)
    result, again = (
        evaluate(model, data.batches("test"), config, data.batches("train")) for _ in range(2)
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result == again
    assert set(result["bounds"]) == {"elbo", "importance weighted"}
    assert set(result["terms"]) == {"log_likelihood/v", "log_likelihood/c", "kl"}
    assert set(result["subset posteriors"]) == {"v", "c"}
    assert set(result["given"]) == {"v", "c", "v+c"}
    assert set(result["coherence"]) == {"c → v"}
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
