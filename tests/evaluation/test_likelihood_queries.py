"""Importance-weighted figures by identities: exact posteriors, chunks, proposals, processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from heard import Heard
from linear_gaussian import exact, jmvae, linear_codecs, log_evidence
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.data.source import Split
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.likelihood_queries import (
    EFFECTIVE,
    likelihoods,
    summary,
    variation_of_information,
)
from mmvae.evaluation.partial_results import PartialResults
from mmvae.evaluation.queries import parse_cells
from mmvae.foundations.errors import TrainingError, UsageError
from mmvae.modalities.column import Column
from mmvae.models.jmvae import JMVAE

N = 150


def model_of(**keys: Any) -> JMVAE:
    codecs = linear_codecs(a={"dim": 3, "sd": 0.8}, b={"dim": 2, "sd": 1.3})
    return exact(jmvae(codecs, fusion="linear", **keys)).eval()


@torch.no_grad()
def items_of(model: JMVAE, n: int = N) -> Batches:
    """Items drawn from the model itself."""
    source = torch.Generator().manual_seed(1)
    z = torch.randn(n, model.latent_dim, generator=source)
    columns = {}
    for m, codec in model.codecs.items():
        mean = model.decoders[m](z)
        x = mean + codec.config.sd * torch.randn(mean.shape, generator=source)
        columns[m] = Column(x.numpy())
    return Batches(
        Split(columns, [str(i) for i in range(n)]), model.codecs, {m: m for m in columns}
    )


def figures(
    model: JMVAE,
    batches: Batches,
    texts: list[str],
    partial: PartialResults | None = None,
    **keys: Any,
) -> dict[str, Tensor]:
    config = EvaluateConfig(**keys)
    cells, _ = parse_cells(texts, model, config.given_from)
    partial = partial or PartialResults()
    likelihoods(model, batches, cells, config, partial)
    return partial.whole(len(batches), config.batch_size)


def evidence(model: JMVAE, batches: Batches) -> dict[str, Tensor]:
    x: Mapping[str, Tensor] = batches.fixed(slice(0, len(batches))).x
    both, a, b = (log_evidence(model, x, s).detach() for s in (("a", "b"), ("a",), ("b",)))
    return {"a+b": both, "a": a, "b": b, "a|b": both - b, "b|a": both - a}


@pytest.mark.parametrize("samples", [1, 7, 40])
def test_exact_posteriors_give_the_evidence_for_every_k(samples: int) -> None:
    """Single figures and the joint one: all weights are equal, so k does not matter."""
    model = model_of()
    batches = items_of(model)
    texts = ["a+b", "a@single", "b@single", "a|b@multiple", "b|a@multiple"]
    found = figures(model, batches, texts, samples=samples)
    truth = evidence(model, batches)
    for text in texts:
        torch.testing.assert_close(
            found[text], truth[text.partition("@")[0]], atol=2e-5, rtol=0, msg=text
        )
        torch.testing.assert_close(
            found[text + EFFECTIVE], torch.full((N,), float(samples)).double(), atol=1e-3, rtol=0
        )


def test_bounds_rise_with_k_and_single_and_multiple_meet() -> None:
    model = model_of()
    batches = items_of(model, 400)
    truth = evidence(model, batches)["a"].mean()
    means = [
        float(figures(model, batches, ["a@multiple"], samples=k)["a@multiple"].mean())
        for k in (1, 4, 16, 512)
    ]
    assert means[:3] == sorted(means[:3])
    assert max(means) < float(truth) + 0.02
    gaps = [abs(float(truth) - mean) for mean in means]
    assert gaps[-1] < 0.1 * gaps[0], "the single figure is the truth here (Appendix B)"


def test_the_prior_and_the_posterior_agree_on_what_is_given() -> None:
    model = model_of()
    batches = items_of(model)
    texts, k = ["a|b@multiple"], {"samples": 500}
    by_posterior = figures(model, batches, texts, **k)["a|b@multiple"]
    by_prior = figures(model, batches, texts, given_from="prior", given_samples=20_000, **k)
    difference = by_prior["a|b@multiple"] - by_posterior
    assert abs(float(difference.mean())) < 0.02
    assert float(difference.std()) > 0, "they are two estimates"


def test_a_single_conditional_uses_the_smaller_posterior() -> None:
    model = model_of()
    batches = items_of(model)
    found = figures(model, batches, ["a|b"], samples=2000)
    truth = evidence(model, batches)["a|b"]
    torch.testing.assert_close(found["a|b@multiple"], truth, atol=2e-5, rtol=0)
    single = found["a|b@single"]
    assert float((single - truth).abs().max()) > 1e-3, "q(z|b) is not q(z|a, b)"
    assert abs(float((single - truth).mean())) < 0.05


@pytest.mark.parametrize("given_from", ["posterior", "prior"])
def test_neither_chunks_nor_shards_nor_processes_change_a_figure(
    tmp_path, given_from: str
) -> None:
    model = model_of()
    batches = items_of(model)
    keys: dict[str, Any] = {"samples": 70, "given_from": given_from}
    texts = ["standard"]
    whole = figures(model, batches, texts, **keys)
    parts = figures(model, batches, texts, batch_size=37, memory=1, **keys)
    halves = [PartialResults(tmp_path, {}, rank, 2) for rank in (0, 1)]
    config = EvaluateConfig(batch_size=40, **keys)
    cells, _ = parse_cells(texts, model, given_from)
    for partial in halves:
        likelihoods(model, batches, cells, config, partial)
    shared = halves[0].whole(len(batches), 40)
    assert set(whole) == set(parts) == set(shared)
    for name, values in whole.items():
        torch.testing.assert_close(parts[name], values, atol=1e-4, rtol=1e-5)
        torch.testing.assert_close(shared[name], values, atol=1e-4, rtol=1e-5)


def test_what_else_is_computed_changes_no_figure() -> None:
    """Cells that share a proposal share one pass, and its samples."""
    model = model_of()
    batches = items_of(model)
    together = figures(model, batches, ["standard"], samples=10)
    alone = figures(model, batches, ["b@multiple"], samples=10)
    torch.testing.assert_close(together["b@multiple"], alone["b@multiple"])


def test_cells_that_share_a_proposal_share_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    batches = items_of(model)
    decoded: list[str] = []
    before = model.parameters_of

    def counted(modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Any:
        decoded.append(modality)
        return before(modality, z, given)

    monkeypatch.setattr(model, "parameters_of", counted)
    figures(model, batches, ["standard"], samples=4, batch_size=N)
    probing = 2  # the footprint of a row is measured by two small runs
    assert len(decoded) == (1 + probing) * 3 * 2, "three proposals, two modalities each"


def test_the_figures_of_a_budget_too_small_are_refused() -> None:
    codecs = linear_codecs(a={"dim": 200_000})
    model = jmvae(codecs, fusion_dim=2).eval()
    values = np.zeros((2, 200_000), dtype=np.float32)
    batches = Batches(Split({"a": Column(values)}, ["0", "1"]), codecs, {"a": "a"})
    with pytest.raises(UsageError, match=r"evaluate.memory = 1 MiB: one sample of one item"):
        figures(model, batches, ["a"], memory=1)


def test_the_summary_says_how_each_figure_was_made() -> None:
    model = model_of()
    batches = items_of(model)
    config = EvaluateConfig(samples=5, given_from="prior", given_samples=9)
    cells, _ = parse_cells(["standard"], model)
    items = figures(model, batches, ["standard"], samples=5, given_from="prior", given_samples=9)
    found = summary(items, cells, model, config, batches)
    assert found["a@single"]["mean"] == pytest.approx(float(items["a@single"].mean()))
    error = float(items["a@single"].std()) / N**0.5
    assert found["a@single"]["error"] == pytest.approx(error)
    assert found["a@single"] | {"mean": 0, "error": 0, "effective samples": 0} == {
        "mean": 0,
        "error": 0,
        "effective samples": 0,
        "of": "log p(a)",
        "proposal": "q(z | a)",
        "samples": 5,
        "bound": True,
        "given from": None,
    }
    assert found["a|b@multiple"]["given from"] == "prior, 9 samples"
    assert 1 <= found["a|b@multiple"]["effective samples of what is given"] <= 9
    assert not found["a|b@multiple"]["bound"]
    informed = variation_of_information(items, model.modalities)
    assert set(informed) == {"multiple", "single"}
    expected = -(items["a|b@single"] + items["b|a@single"]).mean()
    assert informed["single"]["mean"] == pytest.approx(float(expected))


def test_a_figure_that_is_not_finite_names_cell_and_item() -> None:
    model = model_of()
    cells, _ = parse_cells(["a@single"], model)
    batches, nats = items_of(model, 3), torch.zeros(3).double()
    nats[1] = float("nan")
    items = {"a@single": nats, "a@single" + EFFECTIVE: torch.ones(3)}
    with pytest.raises(TrainingError, match=r"a@single is nan for item 1"):
        summary(items, cells, model, EvaluateConfig(), batches)


def test_without_cells_nothing_is_read_or_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of()
    batches = items_of(model)
    monkeypatch.setattr(batches, "fixed", None)
    heard = Heard()
    likelihoods(model, batches, [], EvaluateConfig(), PartialResults(), heard)
    assert heard.parts == []
