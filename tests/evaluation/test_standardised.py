"""Log-likelihoods are in the user's units; those of standardised values stand beside them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from studies import toy_study
from torch import Tensor
from toys import ClassCodec, ToySource, VectorCodec, toy_items

from mmvae.data.batches import Batches
from mmvae.data.source import Split
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.evaluate import evaluate
from mmvae.evaluation.standardised import added_nats
from mmvae.experiments.reproduce import reproduce
from mmvae.modalities.column import Column
from mmvae.modalities.density import scale_nats
from mmvae.models.jmvae import JMVAE
from mmvae.models.jmvae_config import JMVAEConfig
from mmvae.plugins.registry import Registry
from mmvae.report.tables import tables

SCALES = torch.tensor([0.5, 2.0, 10.0])
WHOLE = float(SCALES.log().sum())


class ScaledCodec(VectorCodec):
    """Three reals, of which networks see x / s."""

    @property
    def log_scale(self) -> Tensor:
        return SCALES.log()

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        x, observed = super().prepare(column)
        return x / SCALES, observed

    def log_prob(self, likelihood, x, observed):
        nats = super().log_prob(likelihood, x, observed)
        counted = torch.ones_like(x) if observed is None else observed
        return nats - (counted * SCALES.log()).sum(-1)


def items(n: int = 40, gaps: bool = False) -> Batches:
    codecs = {
        "v": ScaledCodec(ScaledCodec.Config(gaps=gaps)),
        "c": ClassCodec(ClassCodec.Config(), {"classes": ["red", "green", "blue"]}),
    }
    values = toy_items(n, 0)
    present = None
    if gaps:
        values["v"][::3, 1] = np.nan
        present = np.arange(n) % 5 > 0
    columns = {"v": Column(values["v"], present=present), "c": Column(values["c"])}
    return Batches(Split(columns, np.arange(n)), codecs, {"v": "v", "c": "c"})


def result(batches: Batches) -> dict:
    torch.manual_seed(0)
    model = JMVAE(JMVAEConfig(latent_dim=2, fusion_dim=8), batches.codecs)
    config = EvaluateConfig(
        samples=4, bounds=["v@multiple", "v|c@single", "c|v@single", "v+c"], coherence=False
    )
    return evaluate(model, batches, config)


def test_the_scale_counts_once_for_each_observed_cell() -> None:
    codec = ScaledCodec(ScaledCodec.Config())
    assert float(scale_nats(codec, None)) == pytest.approx(WHOLE)
    observed = torch.tensor([[True, True, True], [False, True, False], [False] * 3])
    wanted = torch.tensor([WHOLE, np.log(2.0), 0.0], dtype=torch.float64)
    torch.testing.assert_close(scale_nats(codec, observed), wanted, atol=1e-6, rtol=0)
    assert scale_nats(VectorCodec(VectorCodec.Config()), None) is None


def test_every_log_likelihood_of_a_standardised_modality_has_the_other_beside_it() -> None:
    found = result(items())
    for figure in (
        found["bounds"]["elbo"],
        found["terms"]["log_likelihood/v"],
        *(found["cells"][name] for name in ("v@multiple", "v|c@single", "v+c")),
    ):
        beside = figure["standardised"]
        assert beside["mean"] - figure["mean"] == pytest.approx(WHOLE, abs=1e-5)
        assert beside["error"] == pytest.approx(figure["error"], rel=1e-5)
    for figure in (
        found["terms"]["kl"],
        found["terms"]["log_likelihood/c"],
        found["cells"]["c|v@single"],
    ):
        assert "standardised" not in figure
    information = found["variation of information"]["single"]
    assert information["standardised"]["mean"] - information["mean"] == pytest.approx(-WHOLE)


def test_items_add_the_scale_of_what_they_have() -> None:
    batches = items(gaps=True)
    added = added_nats(batches.codecs, batches.fixed(slice(0, 6)), ("v", "c"))
    without = WHOLE - np.log(2.0)
    assert added.tolist() == pytest.approx([0, WHOLE, WHOLE, without, WHOLE, 0])
    assert added_nats(batches.codecs, batches.fixed(slice(0, 6)), ("c",)) is None


def test_tables_print_both() -> None:
    found = result(items()) | {"split": "test"}
    bound, likelihoods = tables(found)[:2]
    elbo, beside = found["bounds"]["elbo"], found["bounds"]["elbo"]["standardised"]
    assert dict(bound.rows)["ELBO"] == (
        f"{elbo['mean']:.2f} ± {elbo['error']:.2f} ({beside['mean']:.2f} ± {beside['error']:.2f})"
    )
    assert "standardised" in bound.note
    assert "standardised" in likelihoods.note
    assert [" (" in row[2] for row in likelihoods.rows] == [
        "v" in row[0].partition("|")[0] for row in likelihoods.rows
    ]


def test_a_study_keeps_the_nats_of_standardised_values(tmp_path: Path) -> None:
    """Published figures are of these, and so are results that were kept before."""
    study = toy_study(tmp_path / "study")
    registry = Registry.of(codecs=[ScaledCodec, ClassCodec], sources=[ToySource], models=[JMVAE])
    [record] = reproduce(
        study,
        tmp_path / "runs",
        tmp_path / "results",
        schedule="short",
        only=["weak"],
        registry=registry,
    )
    evaluation = json.loads((tmp_path / "runs/weak/evaluation.json").read_bytes())
    items = load_file(tmp_path / "runs/weak/evaluation.items.safetensors")
    for name in ("v@multiple", "v|c@single", "v+c"):
        assert record.cells[name]["mean"] == evaluation["cells"][name]["standardised"]["mean"]
        assert "standardised" not in record.cells[name]
        assert record.per_item(name) == pytest.approx(items[name] + WHOLE, rel=1e-5)
    assert record.other["bounds"]["elbo"] == evaluation["bounds"]["elbo"]["standardised"]
