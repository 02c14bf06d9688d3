"""The data of a report: a run, its model, items to show, and their evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator

from mmvae.evaluation.coherence_matrix import given_sets, labels_of
from mmvae.foundations.errors import short
from mmvae.foundations.section import TableName
from mmvae.modalities.subsets import subset_name
from mmvae.models.base import Model
from mmvae.report.canvas import LARGEST
from mmvae.report.subject import Subject


@dataclass
class ReportSubject(Subject):
    """A run as a report shows it.

    Attributes:
        evaluation: What :func:`mmvae.experiments.evaluate.evaluate` returned.
    """

    evaluation: Mapping[str, Any]


def _to_scale(value: float) -> float:
    if abs(value) > LARGEST:
        raise ValueError(f"{value} is too large to be drawn, expected at most {LARGEST}")
    return value


_Drawable = Annotated[float, AfterValidator(_to_scale)]


class _Share(BaseModel):
    mean: _Drawable


class _Latent(BaseModel):
    """The keys of the latent diagnostics that figures read."""

    active: int = Field(alias="active units")
    dimensions: int
    kl: list[_Drawable] = Field([], alias="kl per dimension")
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

    def check(self, model: Model) -> None:
        """Require parts of this model, so that no figure is larger than the model asks for.

        Raises:
            ValueError: Modalities, dimensions or given-sets are those of another model.
        """
        modalities = list(model.modalities)
        if self.modalities != modalities:
            raise ValueError(f"modalities are {short(self.modalities)}, expected {modalities}")
        if self.latent is not None:
            found, d = {self.latent.dimensions, len(self.latent.variance)}, model.latent_dim
            if found != {d}:
                raise ValueError(f"latent has {max(found):,} dimensions, expected {d:,}")
        rows = set(map(subset_name, given_sets(model)))
        for label, matrix in self.matrices.items():
            columns = {m for row in matrix.cells.values() for m in row}
            sound = matrix.cells.keys() <= rows and columns <= {*modalities}
            if not sound or label not in labels_of(model):
                raise ValueError(f"the coherence matrix of {label!r} is of another model")
