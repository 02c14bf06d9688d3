"""``[evaluate]``: the statistics to compute for a trained model, and their settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mmvae.data.split_names import SplitName
from mmvae.foundations.section import Section


class EvaluateConfig(Section):
    """``[evaluate]``: which figures are computed, and how."""

    split: SplitName = Field("test", description="Items to evaluate on.")
    batch_size: int = Field(500, ge=1, description="Items evaluated at once.")
    bounds: list[str] = Field(
        [],
        description="Cells of importance-weighted figures: 'standard', or a list such as "
        "['image', 'image|label@single']; the ELBO alone unless given.",
    )
    samples: int = Field(1000, ge=1, description="k, samples of z per item and cell.")
    given_from: Literal["posterior", "prior"] = Field(
        "posterior",
        description="Where log p(x_G) of a conditional gets its samples: from q(z|x_G), or from "
        "the prior (the paper).",
    )
    given_samples: int | None = Field(
        None, ge=1, description="Samples that log p(x_G) gets; as many as samples unless given."
    )
    memory: int = Field(
        512, ge=1, description="MiB that the samples of a cell may take at once, whatever k is."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Governs every draw of an evaluation.")
    coherence: bool = Field(
        True, description="Judge generated values by a classifier where a modality has classes."
    )
    coherence_samples: int = Field(
        1000,
        ge=1,
        description="Generated items to judge; of the split, so many drawn at random by the seed.",
    )
    judge_data: dict[str, Any] = Field(
        {},
        description="Keys of [data] that are others for the training items that the classifiers "
        "learn from, such as { gaps = 0.0 }: so models of different data have the same judges.",
    )
