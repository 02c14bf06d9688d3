"""The data of a report: a run, its model, items to show, and their evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field, model_validator

from mmvae.foundations.section import TableName
from mmvae.report.subject import Subject


@dataclass
class ReportSubject(Subject):
    """A run as a report shows it.

    Attributes:
        evaluation: What :func:`mmvae.experiments.evaluate.evaluate` returned.
    """

    evaluation: Mapping[str, Any]


class _Share(BaseModel):
    mean: float


class _Latent(BaseModel):
    """The keys of the latent diagnostics that figures read."""

    active: int = Field(alias="active units")
    dimensions: int
    kl: list[float] = Field([], alias="kl per dimension")
    variance: list[float] = Field(alias="variance per dimension")

    @model_validator(mode="after")
    def _of_each_dimension(self) -> _Latent:
        if self.kl and len(self.kl) != len(self.variance):
            raise ValueError("expected as many variances as divergences")
        return self


class _Matrix(BaseModel):
    """The keys of a coherence matrix that figures read."""

    cells: dict[str, dict[str, _Share]]
    classifiers: dict[str, _Share] = Field(alias="classifier on real items")


class Drawn(BaseModel):
    """The keys of an evaluation that figures read, checked before they are drawn."""

    items: int
    modalities: list[str]
    latent: _Latent | None = None
    matrices: dict[TableName, _Matrix] = Field({}, alias="coherence matrix")
