"""The table ``[adversary]``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from mmvae import ExtensionConfig, nearest

Rate = Annotated[float, Field(ge=0, lt=1)]


class AdversaryConfig(ExtensionConfig):
    """``[adversary]``: a critic for one modality; ``[train]`` governs the update of the bound."""

    bands: ClassVar[Mapping[str, tuple[float, float]]] = {"critic/accuracy": (0.55, 0.95)}

    modality: str = Field(description="The modality whose decoder is trained with the critic.")
    error: Literal["likelihood", "features"] = Field(
        "likelihood",
        description="Reconstruction error of the decoder, in addition to the critic. "
        "'likelihood': −log p(x|z) (the paper's code). 'features' (Larsen et al.): half the "
        "squared distance of x and x̂ in the critic's features.",
    )
    error_weight: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="γ, the weight of the reconstruction error in the decoder's loss.",
    )
    weight: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="Weight of −log D(x̂) − log D(x_p) in the decoder's loss.",
    )
    start_epoch: int = Field(
        1,
        ge=1,
        description="First epoch with a critic, counted from 1. Before it, the decoder is trained "
        "on its reconstruction error alone; with error = 'features', on −log p(x|z).",
    )
    updates: Literal["in-turn", "together"] = Field(
        "in-turn",
        description="'in-turn': critic, decoder and the rest are updated one after another (the "
        "paper's code). 'together' (Larsen et al.): all are updated by gradients at the same "
        "weights, which is more stable if p(x|z) is narrow.",
    )
    latents: Literal["uniform", "prior"] = Field(
        "uniform",
        description="Source of the z of x_p: 'uniform' on (−1, 1) (the paper's code), or the "
        "prior.",
    )
    noise: float = Field(
        0.0,
        ge=0,
        allow_inf_nan=False,
        description="Standard deviation, in model units, of the noise added to every input of the "
        "critic. It prevents the critic from separating real and generated items by fine "
        "details.",
    )
    learning_rate: float = Field(
        1e-4,
        gt=0,
        description="Learning rate of Adam for decoder and critic.",
    )
    critic_learning_rate: float | None = Field(
        None, gt=0, description="Learning rate of the critic. Default: learning_rate."
    )
    betas: tuple[Rate, Rate] = Field(
        (0.5, 0.999), description="Decay rates of Adam's two moments, for decoder and critic."
    )
    eps: float = Field(
        1e-8,
        gt=0,
        description="ε in Adam's denominator, for decoder and critic.",
    )
    clip_norm: float | None = Field(
        None,
        gt=0,
        description="Maximum total norm of the gradients of decoder and critic; larger "
        "gradients are clipped.",
    )

    @field_validator("modality")
    @classmethod
    def _of_the_modalities(cls, modality: str, info: ValidationInfo) -> str:
        modalities = list((info.context or {}).get("modalities", []))
        if modalities and modality not in modalities:
            raise ValueError(
                f"{modality!r} is no modality, expected one of {', '.join(modalities)}."
                + nearest(modality, modalities)
            )
        return modality
