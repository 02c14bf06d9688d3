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

    latent_dim: int = Field(64, ge=1, description="Number of dimensions of the joint latent z.")
    alpha: float = Field(
        0.1,
        ge=0,
        allow_inf_nan=False,
        description="α, the weight of the penalty that pulls each subset posterior towards the "
        "joint posterior. The total weight does not grow with the number of subsets, which share "
        "2α. 0 trains the joint bound alone, without subset posteriors.",
    )
    subsets: Literal["singletons", "all", "leave-one-out"] | list[str] = Field(
        "singletons",
        description="Subsets of modalities that get their own posterior: the name of a family, or "
        "a list such as ['image', 'image+label'].",
    )
    alpha_by: Literal["subset", "size"] = Field(
        "subset",
        description="How 2α is divided. 'subset' gives each subset an equal share. 'size' gives "
        "each subset size an equal share, divided equally among its subsets. With many "
        "modalities most subsets are of medium size, and 'size' gives the single modalities as "
        "much weight as each other size.",
    )
    subset_alpha: dict[str, float] = Field(
        {}, description="α_S of named subsets such as 'image+label', in place of the share of 2α."
    )
    teachers: list[str] = Field(
        [],
        description="With missing modalities: modalities that an item must have to enter the KL "
        "penalty. Other items still train the ELBO. Name the most informative modalities, such "
        "as a label: without them the joint posterior is broad, and makes the subset posteriors "
        "broad.",
    )
    subsets_per_step: int | None = Field(
        None,
        ge=1,
        description="Number of subsets to sample for each step; each then has weight |family| / "
        "sampled. Default: the whole family up to 16 subsets, else 16.",
    )
    missing: Literal["encoders", "zero"] = Field(
        "encoders",
        description="How modalities are left out. 'encoders' uses subset posteriors; 'zero' "
        "(JMVAE-zero) gives the joint posterior the codec's fill value for each missing input.",
    )
    trunks: Literal["auto", "separate", "joint-apart", "shared"] = Field(
        "auto",
        description="Sharing of encoder trunks. 'separate': each posterior has its own (the "
        "paper). 'joint-apart': all subset posteriors share one per modality and the joint "
        "posterior has its own. 'shared': all posteriors share one per modality. 'auto': "
        "'separate' if all subsets are single modalities and heads is 'auto', else 'shared'.",
    )
    heads: Literal["auto", "own", "masked"] = Field(
        "auto",
        description="With shared trunks: 'own' gives each subset its own head; 'masked' uses one "
        "head for all, with the subset as an input. 'auto' is 'own' for up to 64 subsets.",
    )
    fusion: Fusion = Field(
        "dense",
        description="'dense': a hidden layer over the concatenated features of a posterior's "
        "modalities (the paper's code). 'linear': the heads use the features directly (the "
        "paper's text).",
    )
    fusion_dim: int = Field(
        512,
        ge=1,
        description="Width of the hidden layer of 'dense' fusion and of the layers of a "
        "masked head.",
    )
    feature_dim: int = Field(
        64,
        ge=1,
        description="With shared trunks: number of features per modality that the subset "
        "heads receive.",
    )
    head_dim: int = Field(
        64, ge=1, description="With shared trunks: hidden width of each subset's own head."
    )
    activation: Activation = Field("relu", description="Activation of these hidden layers.")
    variance: Variance = Field(
        "exp",
        description="How a head computes σ²: exp of its output, or softplus (the paper's code).",
    )
    start_variance: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Factor on the initial variance σ² of the joint posterior. 1 starts near the "
        "variance of the prior. A small value such as 0.02 gives the decoders an informative z "
        "from the start, which helps with several modalities; training then adapts the variance.",
    )
    penalty_gradient: Literal["both", "subsets"] = Field(
        "both",
        description="'both': the penalty trains the joint and the subset posteriors (the paper). "
        "'subsets': it trains only the subset posteriors.",
    )
    warmup: Literal["prior", "all"] = Field(
        "prior",
        description="Terms that train.warmup_epochs warms up. 'prior': the KL to the prior (the "
        "paper's code). 'all': the penalty too.",
    )
    rescale: Literal["none", "dimensions"] = Field(
        "none",
        description="'dimensions' multiplies λ_m by (largest number of dimensions of any "
        "modality) / (dimensions of m), so that small modalities keep their weight in the loss.",
    )

    @field_validator("subsets")
    @classmethod
    def _of_the_modalities(cls, subsets: str | list[str], info: ValidationInfo) -> str | list[str]:
        if modalities := _modalities(info):
            try:
                family(subsets, modalities)
            except ConfigError as error:
                message = str(error).removeprefix(f"model.subsets = {subsets!r}: ")
                raise ValueError(message.removeprefix("model.subsets ")) from None
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
