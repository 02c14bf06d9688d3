"""``[reference]``: a published row to compare with."""

from __future__ import annotations

from pydantic import Field

from mmvae.foundations.section import Section


class ReferenceConfig(Section):
    """``[reference]``: the published row that an experiment reproduces, shown next to its own."""

    row: str = Field(min_length=1, description="Name of the row in its table.")
    source: str = Field(min_length=1, description="The publication.")
    bounds: dict[str, float] = Field(
        {},
        description="Published nats per item by likelihood query, such as "
        "'image|label@single' = -126.0.",
    )
