"""``[evaluate]``: the statistics to compute for a trained model, and their settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mmvae.data.split_names import SplitName
from mmvae.foundations.section import Section


class EvaluateConfig(Section):
    """``[evaluate]``: the statistics to compute, and their settings."""

    split: SplitName = Field("test", description="Items to evaluate on.")
    batch_size: int = Field(500, ge=1, description="Items evaluated at once.")
    bounds: list[str] = Field(
        [],
        description="Likelihood queries, by importance-weighted bounds: 'standard', or "
        "a list such as ['image', 'image|label@single']. Unless given, only "
        "the ELBO is computed.",
    )
    samples: int = Field(1000, ge=1, description="k, samples of z per item and likelihood query.")
    given_from: Literal["posterior", "prior"] = Field(
        "posterior",
        description="Distribution of the samples for log p(x_G) of a conditional: "
        "q(z|x_G), or the prior (the paper).",
    )
    given_samples: int | None = Field(
        None, ge=1, description="Number of samples for log p(x_G); that of samples unless given."
    )
    memory: int = Field(
        512,
        ge=1,
        description="Memory in MiB that the samples of a query may take at once, for any k.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of every draw of an evaluation.")
    coherence: bool = Field(
        True,
        description="Measure coherence: classify generated values, if a modality has classes.",
    )
    coherence_samples: int = Field(
        1000,
        ge=1,
        description="Number of generated items to classify. As many items of the split are drawn "
        "at random by the seed.",
    )
    judge_data: dict[str, Any] = Field(
        {},
        description="Keys of [data] that differ for the training items of the classifiers, such "
        "as { gaps = 0.0 }. Models of different data then have the same classifiers.",
    )
