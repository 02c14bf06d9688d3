"""The keys of ``codec = "vector"``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmvae import CodecConfig, DecoderWidths, DenseActivation, EncoderWidths, Names

LEAST_SCALE = 1e-12
"""Least σ: the squares of distances in smaller units leave the range of float32."""

Scale = (
    Annotated[float, Field(ge=LEAST_SCALE, allow_inf_nan=False)] | Literal["learned", "predicted"]
)


class VectorConfig(CodecConfig):
    """Keys of ``codec = "vector"``."""

    names: Names | None = Field(
        None, description="Names of the cells. Default: the names in the source."
    )
    likelihood: Literal["gaussian", "laplace", "student-t"] = Field(
        "gaussian",
        description="Density of each cell. 'laplace' and 'student-t' are less sensitive to "
        "outliers.",
    )
    degrees_of_freedom: float = Field(
        4.0,
        gt=0,
        allow_inf_nan=False,
        description="Degrees of freedom of 'student-t'. Smaller values give heavier tails.",
    )
    scale: Scale = Field(
        "learned",
        description="σ of the density, in standard deviations of the training split: a number, "
        "'learned' (one value per cell), or 'predicted' (from z, for each cell of each item).",
    )
    scale_floor: float = Field(
        1e-3,
        ge=LEAST_SCALE,
        allow_inf_nan=False,
        description="Lower bound of a σ that is learned or predicted.",
    )
    standardise: bool = Field(
        True,
        description="Standardise each cell to mean 0 and standard deviation 1 over the training "
        "split. Otherwise values are used unchanged, and 'scale' is in their units.",
    )
    encoder: EncoderWidths = (256, 256)
    decoder: DecoderWidths = (256, 256)
    activation: DenseActivation = "relu"
    layer_norm: bool = Field(False, description="Layer normalisation before each activation.")

    @model_validator(mode="after")
    def _consistent(self) -> VectorConfig:
        """Refuse keys that would have no effect."""
        idle = {
            "degrees_of_freedom": (self.likelihood != "student-t", "likelihood = 'student-t'"),
            "scale_floor": (isinstance(self.scale, float), "a scale that is not fixed"),
        }
        for key, (unused, wanted) in idle.items():
            if unused and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"{key} has an effect only with {wanted}")
        return self
