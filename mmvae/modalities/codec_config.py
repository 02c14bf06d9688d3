"""The keys of ``[modalities.NAME]``: those of every codec, and those of dense networks."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from mmvae.foundations.networks import Activation


class CodecConfig(BaseModel):
    """The keys of ``[modalities.NAME]`` that every codec has; each codec adds its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: str | None = Field(
        None, description="Column of the source. Default: the name of the modality."
    )
    weight: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="λ_m, the weight of log p(x_m|z) in the loss."
    )


EncoderWidths = Annotated[
    tuple[PositiveInt, ...], Field(description="Widths of the encoder's dense layers.")
]
"""Type of the key ``encoder`` of a codec with dense layers, for :func:`mmvae.mlp`."""

DecoderWidths = Annotated[
    tuple[PositiveInt, ...], Field(description="Widths of the decoder's dense layers.")
]
"""Type of its key ``decoder``."""

DenseActivation = Annotated[Activation, Field(description="Activation after each dense layer.")]
"""Type of its key ``activation``."""
