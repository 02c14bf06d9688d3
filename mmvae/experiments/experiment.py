"""An experiment: the validated tables of a config."""

from __future__ import annotations

from typing import Any

from pydantic import (
    Field,
    field_validator,
)

from mmvae.evaluation.config import EvaluateConfig
from mmvae.experiments.reference import ReferenceConfig
from mmvae.foundations.printable import is_plain
from mmvae.foundations.section import LONGEST_NAME, Section, TableName
from mmvae.plugins.roles import top_level
from mmvae.training.config import TrainConfig


class Experiment(Section):
    """One TOML file: everything a run needs to know.

    ``data``, ``modalities`` and ``model`` are instances of the ``Config`` classes that plugins
    bring; each carries the word that chose it: ``data.source``, ``modalities[name].codec``,
    ``model.kind``.
    """

    name: str = Field(
        "experiment",
        min_length=1,
        description="Name of the experiment; the file's name without its extension unless given.",
    )
    data: Any = Field(description="Source of the items; 'source' chooses the keys.")
    modalities: dict[TableName, Any] = Field(
        min_length=1,
        description="The observed variables x_m, in this order; 'codec' chooses the keys of each.",
    )
    model: Any = Field(
        default_factory=dict, validate_default=True, description="The model; 'kind' chooses."
    )
    posterior: Any = Field(
        None,
        description="The family of the subset posteriors; 'family' chooses. Diagonal Gaussians "
        "unless given.",
    )
    prior: Any = Field(
        None,
        description="A prior that is fitted to the aggregate posterior, for unconditional "
        "samples; 'family' chooses. None unless given.",
    )
    train: TrainConfig = Field(TrainConfig(), description="How the model is fitted.")
    evaluate: EvaluateConfig = Field(
        EvaluateConfig(), description="Statistics of an evaluation, and how they are computed."
    )
    metrics: dict[TableName, Any] = Field(
        {},
        description="Further statistics, measured by evaluate; 'kind' chooses the keys of each.",
    )
    observers: dict[TableName, Any] = Field(
        {}, description="Observers of the training; 'kind' chooses the keys of each."
    )
    reference: ReferenceConfig | None = Field(
        None, description="A published row to compare the results with."
    )

    @property
    def extensions(self) -> dict[str, Any]:
        """Extensions that are switched on: kind → its table, an instance of its ``Config``."""
        tables = {kind: getattr(self, kind) for kind in type(self).model_fields}
        return {
            kind: table
            for kind, table in tables.items()
            if kind not in top_level() and table is not None
        }

    @field_validator("name")
    @classmethod
    def _no_path(cls, name: str) -> str:
        if not set(name).isdisjoint("/\\\0") or name in (".", ".."):
            raise ValueError("expected a name, not a path; leave out / and \\.")
        if not is_plain(name) or len(name.encode()) > LONGEST_NAME:
            raise ValueError(
                f"expected at most {LONGEST_NAME} bytes of printable text without blanks around "
                f"it; set name = …"
            )
        return name


Kinds = tuple[tuple[str, type[Any]], ...]
