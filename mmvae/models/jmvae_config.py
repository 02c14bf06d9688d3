"""``[model]`` of a JMVAE: what the paper leaves open, each choice a key."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from mmvae.foundations.errors import ConfigError, listed, nearest
from mmvae.foundations.networks import Activation
from mmvae.modalities.subsets import Subset, family, subset_name
from mmvae.models.base import ModelConfig
from mmvae.models.heads import Variance
from mmvae.models.posterior_network import Fusion

MOST_NETWORKS = 4096
"""Maximum number of subsets that may have networks of their own: all of twelve modalities."""


class JMVAEConfig(ModelConfig):
    """``[model]`` of a JMVAE; each choice that the paper leaves open is a key."""

    latent_dim: int = Field(64, ge=1, description="Dimensions of the joint latent z.")
    alpha: float = Field(
        0.1,
        ge=0,
        allow_inf_nan=False,
        description="α, the weight of the KL penalty that pulls each subset posterior "
        "towards the joint posterior. The subsets share the weight 2α, so "
        "the total does not grow with their number. 0 trains the joint "
        "bound alone, without subset posteriors.",
    )
    subsets: Literal["singletons", "all", "leave-one-out"] | list[str] = Field(
        "singletons",
        description="Subsets of modalities with a posterior of their own: a named "
        "family, or a list such as ['image', 'image+label'].",
    )
    alpha_by: Literal["subset", "size"] = Field(
        "subset",
        description="How 2α is shared: equally among subsets, or 'size': equally among "
        "sizes of subsets, then among the subsets of each size. With many "
        "modalities most subsets are of medium size; by size, all single "
        "modalities together count as much as all of those.",
    )
    subset_alpha: dict[str, float] = Field(
        {},
        description="α_S of individual subsets by name ('image+label'), in place of their share.",
    )
    teachers: list[str] = Field(
        [],
        description="With missing modalities: the modalities that an item must have to "
        "enter the KL penalty; other items still train the ELBO. Name the "
        "most informative modalities, such as a label: without them the "
        "joint posterior is broad, and makes the subset posteriors broad.",
    )
    subsets_per_step: int | None = Field(
        None,
        ge=1,
        description="Number of subsets that are drawn for each step; each is weighted "
        "by |family| / drawn. Unless given: all if there are at most 16, "
        "else 16.",
    )
    missing: Literal["encoders", "zero"] = Field(
        "encoders",
        description="How posteriors of fewer modalities are obtained: by subset "
        "posteriors, or 'zero' (JMVAE-zero): by the joint encoder with the "
        "codec's fill value for missing inputs.",
    )
    trunks: Literal["auto", "separate", "joint-apart", "shared"] = Field(
        "auto",
        description="Encoder trunks. 'separate': each posterior has its own (the "
        "paper). 'joint-apart': all subset posteriors share one trunk per "
        "modality, and the joint posterior has its own. 'shared': all "
        "posteriors share one per modality. 'auto': separate for "
        "singletons, else shared.",
    )
    heads: Literal["auto", "own", "masked"] = Field(
        "auto",
        description="With shared trunks: one head per subset, or one masked head that "
        "gets the subset as input. 'auto' gives heads to up to 64 subsets.",
    )
    fusion: Fusion = Field(
        "dense",
        description="'dense': a hidden layer over the concatenated features of a "
        "posterior's modalities (the paper's code); 'linear': heads without "
        "a hidden layer (the paper's text).",
    )
    fusion_dim: int = Field(
        512, ge=1, description="Width of that hidden layer, and of those of a masked head."
    )
    feature_dim: int = Field(
        64,
        ge=1,
        description="With shared trunks: width of a modality's input to the subset heads.",
    )
    head_dim: int = Field(
        64, ge=1, description="With shared trunks: hidden width of the head of each subset."
    )
    activation: Activation = Field("relu", description="Activation of the hidden layers above.")
    variance: Variance = Field(
        "exp", description="Link from a head's output to σ²: exp, or softplus (the paper's code)."
    )
    start_variance: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor of the joint posterior's initial σ². 1 is about that of the "
        "prior. With several modalities a small factor such as 0.02 makes z "
        "informative for the decoders from the first step.",
    )
    penalty_gradient: Literal["both", "subsets"] = Field(
        "both",
        description="Which posteriors get gradients of the penalty: the joint posterior "
        "too (the paper), or the subset posteriors only.",
    )
    warmup: Literal["prior", "all"] = Field(
        "prior",
        description="Terms that train.warmup_epochs warms up: the KL to the prior (the "
        "paper's code), or the penalty too.",
    )
    rescale: Literal["none", "dimensions"] = Field(
        "none",
        description="'dimensions' multiplies λ_m by (largest number of dimensions of "
        "any modality) / (dimensions of m), so that large modalities do not "
        "dominate.",
    )

    @field_validator("subsets")
    @classmethod
    def _of_the_modalities(cls, subsets: str | list[str], info: ValidationInfo) -> str | list[str]:
        if modalities := _modalities(info):
            try:
                family(subsets, modalities)
            except ConfigError as error:
                told = str(error).removeprefix(f"model.subsets = {subsets!r}: ")
                raise ValueError(told.removeprefix("model.subsets ")) from None
        return subsets

    @field_validator("trunks", "heads")
    @classmethod
    def _of_few(cls, value: str, info: ValidationInfo) -> str:
        modalities, subsets = _modalities(info), info.data.get("subsets")
        if modalities and subsets and value in ("separate", "own"):
            count = len(family(subsets, modalities))
            if count > MOST_NETWORKS:
                raise ValueError(
                    f"each of {count:,} subsets would have networks of its own; "
                    f"expected at most {MOST_NETWORKS:,}. Leave it out for one head that serves "
                    f"all, or train fewer subsets."
                )
        return value

    @field_validator("subset_alpha")
    @classmethod
    def _of_the_subsets(cls, alphas: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        modalities = _modalities(info)
        if modalities and "subsets" in info.data:
            check_alphas(alphas, family(info.data["subsets"], modalities))
        return alphas

    @model_validator(mode="after")
    def _consistent(self) -> JMVAEConfig:
        """Refuse keys that would have no effect."""
        zero = self.missing == "zero"
        idle = {
            "subsets": zero,
            "alpha_by": zero,
            "subset_alpha": zero or self.alpha == 0,
            "teachers": zero,
            "trunks": zero and self.trunks == "joint-apart",
            "penalty_gradient": zero,
            "subsets_per_step": zero or self.alpha == 0,
        }
        reason = "missing = 'zero'" if zero else "alpha = 0"
        for key, unused in idle.items():
            if unused and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} = {getattr(self, key)!r} has no effect with {reason}, which trains no "
                    f"subset posteriors; leave one of the two out."
                )
        return self


def _modalities(info: ValidationInfo) -> list[str]:
    """The experiment's modalities; none if the section is built without an experiment."""
    return list((info.context or {}).get("modalities", []))


def check_alphas(alphas: Mapping[str, float], subsets: Sequence[Subset]) -> None:
    """Check that each weight α_S belongs to a subset that gets a posterior.

    Raises:
        ValueError: A weight's subset gets none, or a weight is not a finite number above 0.
    """
    names = {subset_name(s): s for s in subsets} if alphas else {}
    for name, alpha in alphas.items():
        if name not in names or not 0 < alpha < math.inf:
            raise ValueError(
                f"{name} = {alpha}: expected a finite weight > 0 for one of "
                f"{listed(names) or 'no subset at all'}.{nearest(name, names)}"
            )
