"""Of binary pixels, generated pictures are compared with real ones as binary pictures too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from mmvae_attributes import SignedAttributes
from mmvae_fidelity import AttributeAgreement, Frechet, PowerSpectrum, classifier
from mmvae_images import BernoulliImage
from torch import Tensor, nn

from mmvae import Column, DiagonalGaussian, Model, Phase, Specimen, Split
from mmvae.data.batches import Batches

N = 400
LEVELS = torch.linspace(0.2, 0.8, 8).repeat(2, 8, 1)
LEVELS[1] = LEVELS[1].T.clone()


class Perfect(Model):
    """It knows the grey levels of both kinds of pictures, and from z which kind is meant."""

    kind = "perfect"
    latent_dim = 1

    def __init__(self, codecs: Mapping[str, Any]) -> None:
        super().__init__(None, codecs)
        self.nothing = nn.Parameter(torch.zeros(()))

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        mean = 9 * observed["kind"]
        return DiagonalGaussian(mean, torch.full_like(mean, -4.0))

    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        return DiagonalGaussian.standard(torch.zeros(b, 1))

    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Tensor:
        if modality == "kind":
            return z
        return LEVELS[(z[:, 0] > 0).long()].logit()[:, None]

    def supports(self, targets: Any, given: Any, proposal: Any) -> str | None:
        return None if "kind" in proposal or not proposal else "it needs the kind"

    def phases(self) -> list[Phase]:
        return []

    def objective(self, *args: Any) -> Any:
        raise NotImplementedError


def specimen(binarise: str, batch_size: int = 500) -> Specimen:
    source = np.random.default_rng(0)
    second = source.random(N) < 0.5
    pictures = LEVELS[second.astype(int)].numpy()
    if binarise == "once":  # pictures that are binary from the start
        pictures = (source.random(pictures.shape) < pictures).astype(np.float32)
    signs = np.where(second, 1, -1).astype(np.int8)[:, None]
    columns = {"image": Column(pictures), "kind": Column(signs, names=("second",))}
    recipes = (
        ("image", BernoulliImage, {"binarise": binarise}),
        ("kind", SignedAttributes, {"names": ("second",)}),
    )
    codecs = {}
    for name, kind, keys in recipes:
        config = kind.Config(**keys)
        codecs[name] = kind(config, kind(config).fit(columns[name]))
    items = Batches(Split(columns, np.arange(N)), codecs, {m: m for m in codecs})
    return Specimen(Perfect(codecs).eval(), items, lambda: items, batch_size=batch_size)


@pytest.mark.parametrize("binarise", ["resample", "once"])
def test_a_perfect_model_is_as_near_as_chance(binarise, monkeypatch) -> None:
    monkeypatch.setattr(classifier, "LEAST_STEPS", 60)
    subject = specimen(binarise)
    config = {"modality": "image", "given": (("kind",),)}
    spectrum = PowerSpectrum(PowerSpectrum.Config(**config)).measure(subject)
    assert float(spectrum["z given kind"].mean()) < 0.3  # decibels; of the means it is 30
    found = Frechet(Frechet.Config(**config)).measure(subject)
    distance, chance = (float(values.mean()) for values in found.values())
    assert distance < 2 * chance
    keys = {"modality": "image", "labels": "kind"}
    agreement = AttributeAgreement(AttributeAgreement.Config(**keys)).measure(subject)
    seen, real = agreement["image from kind"], agreement["classifier on real pictures"]
    assert float(seen.mean()) == pytest.approx(float(real.mean()), abs=0.1)


def test_thresholded_pictures_meet_thresholded_means() -> None:
    subject = specimen("threshold")
    made = subject.decoded("image", ("kind",), fixed=True)
    assert torch.equal(made, subject.real("image"))


def test_views_of_generated_pictures_belong_to_items() -> None:
    whole, parts = (
        specimen("resample", size).decoded("image", ("kind",), fixed=True) for size in (500, 7)
    )
    assert torch.equal(whole, parts)
    assert set(whole.unique().tolist()) == {0.0, 1.0}
    assert len(specimen("resample").decoded("image", ("kind",)).unique()) > 2  # means
