"""Vector: real numbers, p(x|z) = Π_a f((x_a − μ_a(z)) / σ_a) / σ_a, with missing cells allowed.

f is a Gaussian, Laplace or Student-t density. Networks see values standardised on the training
split; log-likelihoods are densities of the data in the user's own units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae import (
    Column,
    DenseCodec,
    Examples,
    GaussianLikelihood,
    LaplaceLikelihood,
    Likelihood,
    SoftplusScale,
    State,
    StudentTLikelihood,
    UnsupportedValue,
    check_standardised,
    listed,
    mlp,
    seeded_sample,
    typed_cells,
)
from mmvae_vectors.cells import LARGEST, doubts, read, refuse, rounded
from mmvae_vectors.config import VectorConfig
from mmvae_vectors.examples import examples
from mmvae_vectors.head import Head
from mmvae_vectors.moments import moments

NAMED = 32
"""Vectors with more cells than this have no statistic per cell."""

SHOWN = 80
"""Characters of a cell's name that are shown."""


class Vector(DenseCodec):
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
        """Require names, and one finite mean and one positive deviation for each cell.

        Values that are too many deviations away are refused when they are prepared.
        """
        super().check_state()
        single = self.state["single"]
        if not isinstance(single, bool) or (single and len(self.names) != 1):
            raise ValueError(
                f"single is {single!r:.80} for {len(self.names)} cells; expected false, or true "
                f"for one cell"
            )
        check_standardised(self.state, self.event_shape, torch.float64)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the cells in the order of the values."""
        return tuple(self.state["names"])

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
        """Numbers that lose their last digits."""
        yield from doubts(column)
        if not self.config.standardise:
            yield from rounded(read(column, self.names))

    def encoder(self) -> nn.Module:
        """Dense layers."""
        c = self.config
        return mlp(len(self.names), c.encoder, c.activation, layer_norm=c.layer_norm)

    def decoder(self, input_dim: int) -> nn.Module:
        """Dense layers, then a location for each cell, and a raw scale if z predicts it."""
        c, cells = self.config, len(self.names)
        width = 2 * cells if c.scale == "predicted" else cells
        return Head(mlp(input_dim, c.decoder, c.activation, width, c.layer_norm), cells, c.scale)

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
        return Column(np.array([typed_cells(text, self.names, others=np.nan)]), names=self.names)

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
        statistics = {"rmse": _root_mean_square(error)}
        if 1 < len(self.names) <= NAMED:
            columns = error.abs().unbind(1)
            names = (f"absolute error of {name}" for name in self.names)
            statistics |= dict(zip(names, columns, strict=True))
        return statistics


def _root_mean_square(cells: Tensor) -> Tensor:
    """√ of the mean square of each row (b, cells); squares of any float32 stay in its range.

    A power of two is divided out, so that the result is rounded as without it.
    """
    exponent = torch.frexp(cells.abs().amax(1)).exponent
    scaled = torch.ldexp(cells, -exponent[:, None])
    return torch.ldexp(scaled.square().mean(1).sqrt(), exponent)


def _brief(name: str) -> str:
    """A cell's name as it is shown, cut if it is very long."""
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}…"
