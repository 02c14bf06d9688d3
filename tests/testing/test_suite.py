"""A suite is made from a class and its keys, and validates them as a config would."""

from __future__ import annotations

import pytest
from pydantic import ValidationError, ValidationInfo, model_validator

import mmvae
from mmvae.testing import ExtensionContract, SourceContract


class LookConfig(mmvae.ExtensionConfig):
    at: str = "b"

    @model_validator(mode="after")
    def _known(self, info: ValidationInfo) -> LookConfig:
        if self.at not in (info.context or {}).get("modalities", []):
            raise ValueError(f"no modality {self.at!r}")
        return self


class Look(mmvae.Extension):
    kind = "look"
    Config = LookConfig


def test_keys_may_name_the_two_modalities_of_the_stage() -> None:
    assert ExtensionContract.of(Look, {}).make_config().at == "b"
    assert ExtensionContract.of(Look, {"at": "a"}).make_config().at == "a"
    with pytest.raises(ValidationError, match="no modality 'c'"):
        ExtensionContract.of(Look, {"at": "c"})


def test_a_suite_without_a_class_says_what_to_set() -> None:
    with pytest.raises(NotImplementedError, match="Set source, the class under test"):
        SourceContract().make_source()
