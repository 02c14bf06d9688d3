"""Goodness of fit: tests that draws of a likelihood follow its density.

Compared are the frequency of each value of a small support, the distribution function over a grid,
or that of single cells if a likelihood factorises. Bounds are those of one case in a million, and
draws are the same at every call.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributions import Distribution

from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.testing.contract import require
from mmvae.testing.subject import generator, repeated

DEVIATIONS = 5.0
"""Maximum deviation of a frequency, in standard errors."""

KOLMOGOROV = 2.7
"""√n times the largest distance of two distribution functions, in one case in a million."""

PILED = 0.01
"""Share of draws at the largest or smallest value that is too many for a density."""

POINTS = 2001
"""Number of values between quantiles at which the density of a cell is evaluated."""


TAILS = (0.005, 0.995)
"""Quantiles of draws between which the density of a cell is taken."""

ROOM = 0.05
"""How far the total probability of a cell may be from 1: draws say where its tails begin."""


class HasDensity(Protocol):
    """A codec, as far as it has a density."""

    @property
    def log_scale(self) -> Tensor | None:
        """See :attr:`mmvae.Codec.log_scale`."""

    def likelihood(self, parameters: Parameters) -> Distribution:
        """See :meth:`mmvae.Codec.likelihood`."""

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        """See :meth:`mmvae.Codec.log_prob`."""

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """See :meth:`mmvae.Codec.sample`."""


@dataclass(frozen=True)
class Density:
    """p(x|z) at one z.

    Attributes:
        codec: The codec, or a substitute for one.
        parameters: Parameters of one item.
    """

    codec: HasDensity
    parameters: Parameters

    def likelihood(self, n: int) -> Distribution:
        """The same likelihood n times."""
        return self.codec.likelihood(repeated(self.parameters, n))

    def sample(self, n: int) -> Tensor:
        """N draws, (n, event…)."""
        return self.codec.sample(self.likelihood(n), generator()).detach()

    def nats(self, values: Tensor, observed: Tensor | None = None) -> Tensor:
        """Log p of each of some values, float64 (k,)."""
        values = values.to(torch.float32)
        nats = self.codec.log_prob(self.likelihood(len(values)), values, observed)
        return nats.detach().double()

    def mass(self, values: Tensor, observed: Tensor | None = None) -> Tensor:
        """The probability or density, exp log p, of each of some values, float64 (k,)."""
        return self.nats(values, observed).exp()

    def fits_support(self, drawn: Tensor, support: Tensor) -> None:
        """Check that draws are in the support, and frequencies match the probabilities.

        Raises:
            ContractBroken: It is not so.
        """
        values = support.to(drawn).flatten(1)
        away, which = _nearest(drawn.flatten(1), values)
        far = int(away.argmax())
        require(bool(away[far] < 1e-3), "sample to give values of the support", f"{drawn[far]}")
        counts = which.bincount(minlength=len(values)).double()
        mass = self.mass(support)
        self._frequencies(support, counts, len(drawn), mass / mass.sum())

    def fits_grid(self, drawn: Tensor, grid: Tensor) -> None:
        """Check that each dimension's distribution function matches the density over the grid.

        Raises:
            ContractBroken: It does not.
        """
        mass = self.mass(grid)
        mass = mass / mass.sum()  # another check is about the total
        cells, draws = grid.flatten(1), drawn.flatten(1).double()
        middles = []
        for dimension in range(cells.shape[1]):
            centres, place = torch.unique(cells[:, dimension].double(), return_inverse=True)
            by_density = torch.zeros_like(centres).index_add_(0, place, mass).cumsum(0)
            ends = centres + (centres[1] - centres[0]) / 2 if len(centres) > 1 else centres
            at_ends = torch.searchsorted(draws[:, dimension].sort().values, ends, right=True)
            where = f"dimension {dimension}"
            _close(at_ends.double() / len(draws), by_density, len(draws), ends, where)
            half = int(torch.searchsorted(by_density, 0.5))
            middles.append(float(ends[min(half, len(ends) - 1)]))
        at = torch.tensor(middles, dtype=torch.float64)
        dense, large = cells.double() > at, draws > at
        for a, b in itertools.combinations(range(cells.shape[1]), 2):
            expected = float(mass[dense[:, a] & dense[:, b]].sum())
            found = float((large[:, a] & large[:, b]).double().mean())
            self._together(a, b, found, expected, len(draws))

    def fits_cells(self, drawn: Tensor) -> None:
        """Check the first, a middle and the last cell separately.

        Raises:
            ContractBroken: The draws of a cell do not follow its density.
            TypeError: The likelihood does not factorise over cells.
        """
        cells = drawn[0].numel()
        self._factorises(drawn[:8], cells // 2)
        chosen = sorted({0, cells // 2, cells - 1})
        for cell in chosen:
            self._fits_cell(drawn, cell)
        self._apart(drawn, chosen)

    def adds_up_in_cells(self, drawn: Tensor, scale: Tensor) -> None:
        """The density of the first, a middle and the last cell is one of the user's values.

        Args:
            drawn: Draws, (n, event…).
            scale: By how much the user's values of each cell are larger, (event…).

        Raises:
            ContractBroken: Its integral is not 1.
            TypeError: The likelihood does not factorise over cells.
        """
        cells = drawn[0].numel()
        self._factorises(drawn[:8], cells // 2)
        for cell in sorted({0, cells // 2, cells - 1}):
            draws = drawn.flatten(1)[:, cell].double()
            centres, step, within = _between(draws, *TAILS)
            stretch = float(scale.flatten()[cell])
            total = float(self._cell(drawn[:1], cell, centres).sum()) * step * stretch
            share = within / len(draws)
            wants = f"a total probability of 1 (integral over cell {cell}, within {ROOM})"
            close = abs(total / share - 1) < ROOM
            require(close, wants, f"{total / share:.4g}", units_hint(self.codec, total))

    def _apart(self, drawn: Tensor, cells: list[int]) -> None:
        """Cells of which the likelihood is a product are drawn apart from each other."""
        n = len(drawn)
        large = drawn.flatten(1).double()
        large = (large > large.mean(0)).double()
        for a, b in itertools.combinations(cells, 2):
            expected = float(large[:, a].mean() * large[:, b].mean())
            self._together(a, b, float((large[:, a] * large[:, b]).mean()), expected, n)

    @staticmethod
    def _together(a: int, b: int, found: float, expected: float, n: int) -> None:
        room = DEVIATIONS * math.sqrt(expected * (1 - expected) / n) + 0.01
        wants = f"samples with large values of cells {a} and {b} in {expected:.3f} of them"
        wants += ", as log_prob says"
        remedy = "Sample the noise of each cell independently."
        require(abs(found - expected) <= room, wants, f"{found:.3f}", remedy)

    def _factorises(self, x: Tensor, cell: int) -> None:
        alone = torch.zeros(x.shape, dtype=torch.bool)
        alone.flatten(1)[:, cell] = True
        likelihood = self.likelihood(len(x))
        whole, one, rest = (
            self.codec.log_prob(likelihood, x, cells) for cells in (None, alone, ~alone)
        )
        if not torch.allclose(whole, one + rest, rtol=1e-4, atol=1e-3):
            raise TypeError("log_prob is no sum over cells")

    def _fits_cell(self, drawn: Tensor, cell: int) -> None:
        draws = drawn.flatten(1)[:, cell].double()
        values, counts = torch.unique(draws, return_counts=True)
        if len(values) <= len(draws) / 5:
            self._frequencies(
                values, counts.double(), len(draws), self._cell(drawn[:1], cell, values), cell
            )
            return
        self._reaches(drawn, cell, values, counts)
        if len(values) > 0.99 * len(draws):  # else there are atoms between densities
            centres, step, _ = _between(draws, *TAILS)
            by_density = self._cell(drawn[:1], cell, centres).cumsum(0)
            ends = centres + step / 2
            within = draws[(draws >= ends[0] - step) & (draws <= ends[-1])].sort().values
            at_ends = torch.searchsorted(within, ends, right=True) / len(within)
            # In another unit than the user's a density has another scale, but the same shape.
            _close(at_ends, by_density / by_density[-1], len(within), ends, f"cell {cell}")

    def _reaches(self, drawn: Tensor, cell: int, values: Tensor, counts: Tensor) -> None:
        """Draws that pile up at their largest or smallest value leave no density beyond it."""
        n, span = int(counts.sum()), float(values[-1] - values[0])
        for end, sign in ((0, -1.0), (-1, 1.0)):
            if counts[end] < PILED * n:
                continue
            beyond = values[end] + sign * span * torch.linspace(0.01, 1.0, 200).double()
            mass = float(self._cell(drawn[:1], cell, beyond).nan_to_num().sum()) * span / 200
            wants = f"samples of cell {cell} beyond {float(values[end]):.4g}, as log_prob says"
            require(mass < PILED / 2, wants, f"{int(counts[end])} of {n} at that value")

    def _cell(self, like: Tensor, cell: int, values: Tensor) -> Tensor:
        """The density of one cell at some values."""
        x = like.repeat_interleave(len(values), 0).clone()
        x.flatten(1)[:, cell] = values.to(x)
        observed = torch.zeros(x.shape, dtype=torch.bool)
        observed.flatten(1)[:, cell] = True
        return self.mass(x, observed)

    def _frequencies(
        self, values: Tensor, counts: Tensor, n: int, mass: Tensor, cell: int | None = None
    ) -> None:
        where = "" if cell is None else f" in cell {cell}"
        found = counts / n
        room = DEVIATIONS * (mass * (1 - mass).clamp(min=0) / n).sqrt() + 3 / n
        off = (found - mass).abs() - room
        worst = int(off.argmax())
        wants = f"samples{where} of the value {values[worst].tolist()} in {float(mass[worst]):.4g}"
        wants += " of all, as log_prob says"
        require(bool(off[worst] <= 0), wants, f"{float(found[worst]):.4g}")
        rest = 1 - float(mass.sum())  # of values that were never drawn
        room_ = DEVIATIONS * math.sqrt(max(rest, 0.0) / n) + DEVIATIONS / math.sqrt(n)
        require(rest <= room_, f"samples{where} of all values that have density", "of some alone")


def units_hint(codec: HasDensity, total: float) -> str:
    """Advice for a total other than 1 that log s explains."""
    log_scale = codec.log_scale
    if log_scale is None or total <= 0 or abs(math.log(total)) < ROOM:
        return ""
    return (
        "Does log_prob hold -log s of each observed cell, s with s from log_scale? (The volume of "
        "a grid is one of model values.)"
    )


def _between(draws: Tensor, low: float, high: float) -> tuple[Tensor, float, int]:
    """Centres of small cells between two quantiles of draws, their width, and draws within."""
    first, last = float(draws.quantile(low)), float(draws.quantile(high))
    step = (last - first) / POINTS
    centres = torch.linspace(first + step / 2, last - step / 2, POINTS, dtype=torch.float64)
    return centres, step, int(((draws >= first) & (draws <= last)).sum())


def ends(support: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Lower and upper end of a constraint of torch, as far as it defines them."""
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    name = type(support).__name__.strip("_").lower()
    if name in ("boolean", "simplex", "onehot", "unitinterval"):
        yield torch.tensor(0.0), torch.tensor(1.0)
        return
    low, high = (
        getattr(support, "lower_bound", -math.inf),
        getattr(support, "upper_bound", math.inf),
    )
    yield torch.as_tensor(low) - 1e-5, torch.as_tensor(high) + 1e-5


def _nearest(drawn: Tensor, values: Tensor, at_once: int = 500) -> tuple[Tensor, Tensor]:
    """The distance of each draw to the nearest of some values, and the index of that value."""
    parts = [torch.cdist(part, values).min(1) for part in torch.split(drawn, at_once)]
    return torch.cat([p.values for p in parts]), torch.cat([p.indices for p in parts])


def _close(found: Tensor, by_density: Tensor, n: int, at: Tensor, where: str) -> None:
    off = (found - by_density).abs()
    worst = int(off.argmax())
    wants = (
        f"samples that follow log_prob: {float(by_density[worst]):.3f} of them up to "
        f"{float(at[worst]):.4g} in {where}"
    )
    close = bool(off[worst] <= KOLMOGOROV / math.sqrt(n) + 0.005)
    require(close, wants, f"{float(found[worst]):.3f}")
