"""A table of the configuration."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

LONGEST_NAME = 100
"""Maximum number of characters of a name, because files are named after two of them."""

TableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=LONGEST_NAME)]


class Section(BaseModel):
    """A table of the configuration: its keys are known, checked and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
