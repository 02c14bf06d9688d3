"""Balanced accuracy by its definition; and all metrics of a run, from its table to its report."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from mmvae_attributes import SignedAttributes
from mmvae_fidelity import AttributeAgreement, Frechet, PowerSpectrum
from mmvae_fidelity.agreement import balanced_accuracy
from mmvae_images import GaussianConvImage

import mmvae
from mmvae.data.memory import MemorySource
from mmvae.foundations.errors import ConfigError
from mmvae.models.jmvae import JMVAE
from mmvae.plugins.registry import Registry
from mmvae.report.report import report

NAMES = ("Left", "Rare", "Never")


def test_it_is_the_mean_of_sensitivity_and_specificity() -> None:
    truth = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0, 0]).bool()[:, None]
    said = torch.tensor([1, 1, 1, 0, 0, 0, 0, 1, 1, 1]).bool()[:, None]
    values = balanced_accuracy(said, truth)
    assert float(values.mean()) == pytest.approx((3 / 4 + 3 / 6) / 2)
    variance = (3 / 4 * 1 / 4 / 4 + 1 / 4 / 6) / 4  # of a mean of two shares
    error = float(values.std(correction=0)) / 10**0.5
    assert error == pytest.approx(variance**0.5)


@pytest.mark.parametrize("constant", [True, False])
def test_who_always_says_the_same_is_right_half_the_time(constant: bool) -> None:
    truth = torch.tensor([1, 0, 0, 0, 0, 0, 0, 0]).bool()[:, None]
    values = balanced_accuracy(torch.full_like(truth, constant), truth)
    assert float(values.mean()) == 0.5
    assert float(balanced_accuracy(truth, truth).mean()) == 1


def items(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Pictures of 8×8: bright on the left or the right, a few with a dark row; and signs of it."""
    source = np.random.default_rng(seed)
    left, rare = source.random(n) < 0.5, source.random(n) < 0.2
    pictures = 60 + source.integers(0, 40, (n, 8, 8, 3))
    pictures[left, :, :4] += 120
    pictures[~left, :, 4:] += 120
    pictures[rare, 3] = 0
    signs = np.stack([left, rare, np.zeros(n, bool)], 1) * 2 - 1
    return {"image": pictures.astype(np.uint8), "attributes": signs.astype(np.int8)}


REGISTRY = Registry.of(
    codecs=[GaussianConvImage, SignedAttributes],
    sources=[MemorySource],
    models=[JMVAE],
    metrics=[Frechet, PowerSpectrum, AttributeAgreement],
)
DATA = {"train": items(300), "validation": items(40, 1), "test": items(60, 2)}
CONFIG = {
    "modalities": {
        "image": {"codec": "gaussian-conv-image", "channels_hidden": [4], "dense": 8},
        "attributes": {
            "codec": "signed-attributes",
            "names": list(NAMES),
            "encoder": [8],
            "decoder": [8],
        },
    },
    "model": {"latent_dim": 2},
    "train": {"epochs": 2, "batch_size": 100, "device": "cpu"},
    "metrics": {
        "frechet": {"kind": "frechet", "modality": "image", "every": 1},
        "sharp": {"kind": "power-spectrum", "modality": "image", "given": [[]]},
        "agreement": {
            "kind": "attribute-agreement",
            "modality": "image",
            "labels": "attributes",
            "threshold": "mean",
        },
    },
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short training with its evaluation."""
    folder = tmp_path_factory.mktemp("fidelity") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mmvae_fidelity.classifier.LEAST_STEPS", 150)
        mmvae.train(CONFIG, DATA, run_dir=folder, registry=REGISTRY)
        result = mmvae.evaluate(folder, DATA, registry=REGISTRY)
        again = mmvae.evaluate(folder, DATA, registry=REGISTRY)
        page = report(folder, DATA, registry=REGISTRY)
    return folder, result, again, page.read_text()


def test_each_metric_names_what_it_measured(run) -> None:
    metrics = run[1]["metrics"]
    assert list(metrics["frechet"]["figures"]) == [
        "z given image+attributes",
        "z given attributes",
        "z from the prior",
        "two halves of real pictures",
    ]
    assert list(metrics["sharp"]["figures"]) == ["z from the prior", "high, z from the prior"]
    agreement = metrics["agreement"]["figures"]
    means = [name for name in agreement if "/" not in name]
    assert means == [
        "attributes from image",
        "image from attributes",
        "classifier on real pictures",
    ]
    assert not [name for name in agreement if name.endswith("/Never")]
    assert "Never" in metrics["agreement"]["remarks"][0]


def test_the_classifier_learns_what_pictures_show_however_rare(run) -> None:
    figures = run[1]["metrics"]["agreement"]["figures"]
    assert figures["classifier on real pictures/Left"]["mean"] > 0.95
    assert figures["classifier on real pictures/Rare"]["mean"] > 0.9


def test_an_untrained_model_is_farther_than_chance(run) -> None:
    figures = run[1]["metrics"]["frechet"]["figures"]
    chance = figures["two halves of real pictures"]["mean"]
    assert figures["z from the prior"]["mean"] > 5 * chance


def test_the_same_seed_gives_the_same_figures(run) -> None:
    assert run[1]["metrics"] == run[2]["metrics"]


def test_the_training_was_measured_and_the_report_shows_it(run) -> None:
    lines = [json.loads(line) for line in (run[0] / "metrics.jsonl").read_text().splitlines()]
    observed = [line for line in lines if line["split"] == "observed"]
    assert [line["epoch"] for line in observed] == [1, 2]
    assert observed[0].keys() >= {"frechet/z from the prior", "errors"}
    assert "figures/observed.png" in run[3] or "Observed" in run[3]
    assert "agreement (attribute-agreement)" in run[3]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (
            {
                "kind": "attribute-agreement",
                "modality": "image",
                "labels": "attributes",
                "attributes": ["Never"],
            },
            "all or none of the split's items have Never",
        ),
    ],
)
def test_what_cannot_be_measured_of_some_items_says_why(run, table, reason) -> None:
    pairs = ", ".join(f"{key} = {json.dumps(value)}" for key, value in table.items())
    overrides = [f"metrics={{odd = {{{pairs}}}}}"]
    result = mmvae.evaluate(run[0], DATA, overrides=overrides, registry=REGISTRY)
    assert reason in result["left out"]["metrics.odd"]
    assert result["metrics"] == {}


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"kind": "frechet", "modality": "imag"}, "expected one of image, attributes. Did you"),
        ({"kind": "frechet", "modality": "image", "labels": "image"}, "classes or attributes"),
        ({"kind": "frechet", "modality": "image", "labels": "lab"}, "labels = 'lab': expected"),
        ({"kind": "power-spectrum", "modality": "image", "given": [["sound"]]}, "given = 'sound'"),
        ({"kind": "attribute-agreement", "modality": "image", "labels": "image"}, "attributes"),
        ({"kind": "attribute-agreement", "modality": "imag", "labels": "attributes"}, "image"),
        (
            {
                "kind": "attribute-agreement",
                "modality": "image",
                "labels": "attributes",
                "attributes": ["Lefty"],
            },
            "Did you mean 'Left'",
        ),
    ],
)
def test_a_metric_of_another_modality_is_refused_before_a_training(
    run, tmp_path, table, reason
) -> None:
    config, folder = CONFIG | {"metrics": {"odd": table}}, tmp_path / "run"
    with pytest.raises(ConfigError, match=f"metrics.odd: .*{reason}"):
        mmvae.train(config, DATA, run_dir=folder, registry=REGISTRY)
    assert not (tmp_path / "run").exists()
