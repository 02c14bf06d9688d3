"""Vector: real numbers, p(x|z) = Π_a f((x_a − μ_a(z)) / σ_a) / σ_a, with missing cells allowed.

f is a Gaussian, Laplace or Student-t density. Networks see values standardised on the training
split; log-likelihoods are densities of the data in the user's own units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae import (
    Codec,
    Column,
    Examples,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
    SoftplusScale,
    State,
    StudentTLikelihood,
    UnsupportedValue,
    nearest,
    seeded_sample,
    written_number,
)
from mmvae_vectors.cells import LARGEST, doubts, listed, read, refuse
from mmvae_vectors.config import VectorConfig
from mmvae_vectors.examples import examples
from mmvae_vectors.moments import moments
from mmvae_vectors.networks import Head, dense

NAMED = 32
"""Vectors with more cells than this have no statistic per cell."""

SHOWN = 80
"""Characters of a cell's name that are shown."""


class Vector(Codec):
    """Real numbers, one for each named cell: event shape (cells,)."""

    kind = "vector"
    Config = VectorConfig

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples:
        """See :meth:`mmvae.Codec.examples`."""
        return examples(keys)

    def fit(self, column: Column) -> State:
        """Learn the cells' names, and their mean and deviation over observed values."""
        names = self.config.names or column.names
        found = moments(column, names)
        names = names or tuple(str(a) for a in range(len(found.count)))
        never = [name for name, count in zip(names, found.count, strict=True) if count == 0]
        if never:
            raise UnsupportedValue(
                None,
                f"no value of {listed(never)} in the training split",
                "at least one of each cell",
                "Leave the cell out.",
            )
        scaled = self.config.standardise
        mean = found.mean if scaled else np.zeros(len(names))
        deviation = found.deviation if scaled else np.ones(len(names))
        return {
            "names": list(names),
            "mean": torch.from_numpy(mean),
            "deviation": torch.from_numpy(deviation),
            "single": found.single,
        }

    def check_state(self) -> None:
        """Require one finite mean and one positive deviation for each cell.

        Data of any scale give their own deviation, 1e-45 too. Below the least normal number its
        reciprocal would be infinite. Values that are too many deviations away are refused when
        they are prepared.
        """
        cells = (len(self.names),)
        for key, least in {
            "mean": -math.inf,
            "deviation": torch.finfo(torch.float64).tiny,
        }.items():
            values = self.state[key]
            sound = values.dtype == torch.float64 and tuple(values.shape) == cells
            if not (sound and bool((values.isfinite() & (values >= least)).all())):
                wanted = "positive" if key == "deviation" else "finite"
                raise ValueError(
                    f"{key} is {values.tolist()!r:.80}, expected {cells[0]} {wanted} numbers of "
                    f"64 bits"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cells in the order of the values."""
        return tuple(self.state["names"])

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(cells,)."""
        return (len(self.names),)

    @property
    def feature_dim(self) -> int:
        """Width of the last dense layer."""
        return int(self.config.encoder[-1]) if self.config.encoder else len(self.names)

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Numbers (b, cells) → standardised float32, 0 if unobserved; mask of the observed."""
        column.check_names(self.names, renamed=self.config.names is not None)
        cells = read(column, self.names)
        observed = ~np.isnan(cells)
        mean, deviation = self.state["mean"].numpy(), self.state["deviation"].numpy()
        standard = np.where(observed, (cells - mean) / deviation, 0.0)
        refuse(cells, np.abs(standard) > LARGEST, self.names)
        x = torch.from_numpy(standard.astype(np.float32))
        return x, None if observed.all() else torch.from_numpy(observed)

    def doubts(self, column: Column) -> Iterator[tuple[int, str]]:
        """Integers that lose their last digits."""
        return doubts(column)

    def encoder(self) -> nn.Module:
        """Dense layers."""
        c = self.config
        return dense(len(self.names), c.encoder, c.activation, c.layer_norm)

    def decoder(self, input_dim: int) -> nn.Module:
        """Dense layers, then a location for each cell, and a raw scale if z predicts it."""
        c, cells = self.config, len(self.names)
        width = c.decoder[-1] if c.decoder else input_dim
        body = dense(input_dim, c.decoder, c.activation, c.layer_norm)
        body.append(nn.Linear(width, 2 * cells if c.scale == "predicted" else cells))
        return Head(body, cells, c.scale)

    @property
    def likelihood_family(self) -> Likelihood:
        """Independent cells in model units; σ = softplus(raw) + floor if it is not fixed."""
        c = self.config
        scale = c.scale if isinstance(c.scale, float) else SoftplusScale(c.scale_floor)
        if c.likelihood == "student-t":
            return StudentTLikelihood(scale, c.degrees_of_freedom)
        return LaplaceLikelihood(scale) if c.likelihood == "laplace" else GaussianLikelihood(scale)

    @property
    def log_scale(self) -> Tensor | None:
        """Logarithm of each cell's deviation, (cells,), if standardised."""
        return self.state["deviation"].log() if self.config.standardise else None

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """A draw by torch's own sampler, for each of the densities."""
        return seeded_sample(likelihood, generator)

    def restore(self, x: Tensor) -> Column:
        """Values in the user's units, float64 (b, cells), or (b,) if the data are bare numbers."""
        cells = x.detach().double().cpu() * self.state["deviation"] + self.state["mean"]
        values = cells.numpy()
        return Column(values[:, 0] if self.state["single"] else values, names=self.names)

    def parse(self, text: str) -> Column:
        """``height=1.8,weight=70`` (cells not named are not observed), or all numbers."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        if not any("=" in part for part in parts):
            return self._all(text, parts)
        values = np.full((1, len(self.names)), np.nan)
        for part in parts:
            name, _, number = (piece.strip() for piece in part.rpartition("="))
            if name not in self.names:
                hint = nearest(name, self.names)
                raise ValueError(
                    f"{name[:SHOWN]!r} is no cell; there are {listed(self.names)}.{hint}"
                )
            values[0, self.names.index(name)] = _number(number, part)
        return Column(values, names=self.names)

    def _all(self, text: str, parts: list[str]) -> Column:
        if len(parts) != len(self.names):
            raise ValueError(
                f"{text!r} has {len(parts)} numbers, expected {len(self.names)}, or pairs such "
                f"as {self.names[0]}=1 (the others then are not observed)."
            )
        return Column(np.array([[_number(part, part) for part in parts]]), names=self.names)

    def show(self, x: Tensor) -> list[Any]:
        """``height=1.8, weight=70``; a bare number as it is."""
        rows = self.restore(x).values
        if self.state["single"]:
            return [f"{value:.6g}" for value in rows]
        return [
            ", ".join(f"{_brief(n)}={value:.6g}" for n, value in zip(self.names, row, strict=True))
            for row in rows
        ]

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Root mean square error over an item's cells, and each cell's error, in user's units."""
        error = (prediction - x) * self.state["deviation"].to(x)
        figures = {"rmse": error.square().mean(1).sqrt()}
        if 1 < len(self.names) <= NAMED:
            columns = error.abs().unbind(1)
            names = (f"absolute error of {name}" for name in self.names)
            figures |= dict(zip(names, columns, strict=True))
        return figures


def _brief(name: str) -> str:
    """A cell's name as it is shown, cut if it is very long."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}…"


def _number(text: str, part: str) -> float:
    """A number, or NaN for an unobserved cell."""
    try:
        number = math.nan if text.strip().lower() == "nan" else written_number(text)
    except ValueError:
        number = math.inf
    if math.isinf(number):
        raise ValueError(f"{part!r}: {text!r} is not a finite number (nor nan, for none).")
    return number
