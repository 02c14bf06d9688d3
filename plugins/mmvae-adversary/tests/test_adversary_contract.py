"""The adversary keeps the contract of extensions, with either error and either order."""

from __future__ import annotations

from mmvae_adversary import Adversary

from mmvae.testing import ExtensionContract


class TestAdversary(ExtensionContract):
    extension = Adversary
    keys = {"modality": "a"}


class TestAdversaryTogether(ExtensionContract):
    extension = Adversary
    keys = {"modality": "a", "updates": "together", "error": "features", "noise": 0.1}


class TestAdversaryLater(ExtensionContract):
    extension = Adversary
    keys = {"modality": "b", "start_epoch": 3}
