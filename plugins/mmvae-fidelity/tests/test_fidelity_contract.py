"""The metrics of this plugin keep the contract, with a judge that learns for a moment only."""

from __future__ import annotations

import pytest
from mmvae_fidelity import classifier
from mmvae_fidelity.agreement import AttributeAgreement
from mmvae_fidelity.frechet import Frechet
from mmvae_fidelity.spectrum import PowerSpectrum

from mmvae.testing import MetricContract


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(classifier, "LEAST_STEPS", 10)


class TestFrechet(MetricContract):
    metric = Frechet
    keys = {"modality": "a"}


class TestPowerSpectrum(MetricContract):
    metric = PowerSpectrum
    keys = {"modality": "a"}


class TestAttributeAgreement(MetricContract):
    metric = AttributeAgreement
    keys = {"modality": "a", "labels": "b"}
