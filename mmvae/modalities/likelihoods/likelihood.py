"""The likelihood contract: a density p(x|z), given the numbers that a decoder puts out.

A codec names one as :attr:`mmvae.Codec.likelihood_family`, and so has its ``likelihood``,
``log_prob``, ``point`` and ``sample``. A new density is one class: it says how many numbers it
needs for each cell, and which distribution they give.

Shapes: ``b`` items or samples, ``event`` the shape of one item.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent
from torch.distributions.constraints import Constraint

from mmvae.foundations.randomness import seeded_global

Parameters = Tensor | dict[str, Tensor]
"""The output of a decoder: one tensor or several by name, batch dimension first."""


class Likelihood(ABC):
    """A family of densities p(x|z), with the link functions from a decoder's output."""

    parameters: tuple[str, ...]
    """Names of the real numbers that a decoder puts out for each cell, in their order.

    With one name the parameters are a tensor, with several a dictionary.
    """

    support: ClassVar[Constraint]
    """The values of x with positive density."""

    @abstractmethod
    def distribution(self, parameters: Parameters) -> Distribution:
        """p(x|z): batch shape (b,), event shape ``event``.

        Args:
            parameters: Any real numbers, (b, event…) by name. Links keep the result's density and
                gradients finite.
        """

    def split(self, output: Tensor) -> Parameters:
        """Convert a decoder's output (b, k·c, …) to its k parameters, each (b, c, …)."""
        if len(self.parameters) == 1:
            return output
        parts = output.chunk(len(self.parameters), dim=1)
        return dict(zip(self.parameters, parts, strict=True))

    def log_prob(self, p: Distribution, x: Tensor, observed: Tensor | None = None) -> Tensor:
        """Log p(x|z) in nats, (b,), without unobserved cells.

        Args:
            p: The result of :meth:`distribution` for b items.
            x: Values (b, event…) in the support; unobserved cells hold any finite value.
            observed: Mask of observed cells, bool (b, event…), or None if all are observed.

        Raises:
            TypeError: Some cells are unobserved and the density does not factorise over cells.
        """
        return cellwise_log_prob(p, x, observed)

    def point(self, p: Distribution) -> Tensor:
        """One best value, float32 (b, event…). Default: the mean."""
        return p.mean

    def sample(self, p: Distribution, generator: torch.Generator) -> Tensor:
        """A draw of x, float32 (b, event…), determined by ``generator`` only.

        Default: the distribution's own ``sample``.
        """
        return seeded_sample(p, generator)


def cellwise_log_prob(p: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
    """Sum of the log-densities of observed cells, nats (b,).

    Raises:
        TypeError: Some cells are unobserved and ``p`` is no product over cells.
    """
    if observed is None:
        return p.log_prob(x)
    if not isinstance(p, Independent) or p.base_dist.event_shape:
        raise TypeError(
            f"its likelihood {type(p).__name__} does not factorise over cells, so log_prob must "
            f"handle unobserved cells itself."
        )
    return torch.where(observed, p.base_dist.log_prob(x), 0.0).flatten(1).sum(1)


def seeded_sample(p: Distribution, generator: torch.Generator) -> Tensor:
    """A draw by the distribution's own ``sample``, determined by ``generator``."""
    device = generator.device
    with seeded_global(int(torch.randint(2**62, (), generator=generator, device=device))):
        return p.sample()


def product_over_cells(cells: Distribution) -> Distribution:
    """Independent cells (b, event…) as one distribution of batch shape (b,)."""
    return Independent(cells, len(cells.batch_shape) - 1, validate_args=False)


def cells_of(p: Distribution) -> Any:
    """The distribution of each cell, of a product over cells, with its own attributes."""
    assert isinstance(p, Independent)
    return p.base_dist
