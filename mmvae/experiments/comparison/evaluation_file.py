"""The keys of ``evaluation.json`` and of a config that comparisons read."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mmvae.experiments.reference import ReferenceConfig


class Kept(BaseModel):
    """A part of ``evaluation.json``; keys that are not compared are not read."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class Figure(Kept):
    """A mean over items and its standard error, None for a single item."""

    mean: float
    error: float | None = Field(None, ge=0)


class CellFigure(Figure):
    """The value of a query, in nats per item in the user's units, and how it was computed.

    ``standardised`` is the value for standardised values, if a codec standardises.
    """

    samples: int
    bound: bool
    standardised: Figure | None = None
    given_from: str | None = Field(None, alias="given from")

    @property
    def how(self) -> dict[str, Any]:
        """The settings of its computation: ``bound``, ``samples`` and ``given from``."""
        return {"bound": self.bound, "samples": self.samples, "given from": self.given_from}


class MetricFigures(Kept):
    """The results of a metric, and the keys of its table."""

    kind: str
    keys: dict[str, Any] = {}
    figures: dict[str, Figure] = {}

    @property
    def main(self) -> dict[str, Figure]:
        """The statistics that are not details of others."""
        return {name: statistic for name, statistic in self.figures.items() if "/" not in name}


class Evaluation(Kept):
    """The keys of ``evaluation.json`` that a comparison reads."""

    name: str
    format: int = 0
    split: str
    items: int = Field(ge=1)
    weights: str
    data: str
    densities: dict[str, str] = {}
    modalities: list[str] = Field(min_length=1)
    config: dict[str, Any]
    cells: dict[str, CellFigure] = {}
    bounds: dict[str, Figure] = {}
    bounds_of: str | None = Field(None, alias="bounds of")
    terms: dict[str, Figure] = {}
    variation: dict[str, Figure] = Field({}, alias="variation of information")
    latent: dict[str, Any] = {}
    accuracy: dict[str, Figure] = {}
    coherence: dict[str, dict[str, Figure]] = {}
    metrics: dict[str, MetricFigures] = {}


class Training(BaseModel):
    """``[train]``: the seed, and all other keys as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    seed: int


class Configuration(Kept):
    """The keys of ``config.resolved.toml`` that a comparison reads; it needs no plugin.

    Further tables, such as those of extensions, are kept unread: runs may differ in them.
    """

    model_config = ConfigDict(extra="allow")

    data: dict[str, Any]
    modalities: dict[str, dict[str, Any]]
    model: dict[str, Any]
    train: Training
    reference: ReferenceConfig | None = None
