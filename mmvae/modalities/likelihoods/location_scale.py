"""Location-scale likelihoods: p(x|z) = Π_i f((x_i − μ_i(z)) / σ_i) / σ_i for a fixed density f."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints
from torch.nn import functional as F

from mmvae.foundations.networks import bounded
from mmvae.modalities.likelihoods.likelihood import (
    Likelihood,
    Parameters,
    cells_of,
    product_over_cells,
)

LARGE = 1e12
"""Raw scales are unchanged up to here, and bounded to twice as much: squares stay finite."""


@dataclass(frozen=True)
class SoftplusScale:
    """Link from any real number to a scale σ: softplus(raw) + floor.

    Attributes:
        floor: Least value.
        squared: The link gives σ² instead of σ.
    """

    floor: float
    squared: bool = False

    def __call__(self, raw: Tensor) -> Tensor:
        """Convert raw numbers to σ, same shape."""
        value = F.softplus(bounded(raw, LARGE, LARGE)) + self.floor
        return value.sqrt() if self.squared else value


class LocationScaleLikelihood(Likelihood):
    """Independent real cells; μ from a decoder, σ a number or from a decoder through a link.

    Args:
        scale: σ of every cell, or the link from ``raw_scale`` to it.
        location: Link from a decoder's output to μ; default: the identity.
    """

    support = constraints.real

    def __init__(
        self,
        scale: float | SoftplusScale = 1.0,
        location: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.scale = scale
        self.location = location
        named = isinstance(scale, SoftplusScale)
        self.parameters = ("location", "raw_scale") if named else ("location",)

    @abstractmethod
    def density(self, location: Tensor, scale: Tensor) -> Distribution:
        """The density of each cell from μ and σ, both (b, event…), without validation."""

    def distribution(self, parameters: Parameters) -> Distribution:
        """Independent cells; ``raw_scale`` may be of size 1 in dimensions that share it."""
        raw = parameters if isinstance(parameters, Tensor) else parameters["location"]
        location = raw if self.location is None else self.location(raw)
        if isinstance(self.scale, SoftplusScale):
            assert not isinstance(parameters, Tensor)
            scale = self.scale(parameters["raw_scale"]).expand_as(location)
        else:
            scale = torch.full_like(location, self.scale)
        return product_over_cells(self.density(location, scale))

    def point(self, p: Distribution) -> Tensor:
        """The location: median and mode, and the mean if there is one."""
        location: Tensor = cells_of(p).loc
        return location
