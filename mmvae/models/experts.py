"""Experts: subset posteriors whose product is the posterior of a larger subset (T8)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mmvae.foundations.errors import SearchLimit, UsageError, listed
from mmvae.modalities.subsets import Subset, partition, subset_name
from mmvae.models.informed_subsets import Informed
from mmvae.models.posteriors import DiagonalGaussian


class Experts:
    """For each subset S, the trained subsets whose posteriors make up q(z|x_S).

    Args:
        informed: The family, and its members that training items inform.
        shaped: For each member, True if it is of the family of ``[posterior]``: these cannot be
            multiplied.
    """

    def __init__(self, informed: Informed, shaped: Sequence[bool]) -> None:
        self.informed = informed
        members = zip(informed.family, shaped, strict=True)
        self.whole = {subset for subset, own in members if own}
        self.forget()

    def forget(self) -> None:
        """Clear the cached results, because the trained subsets may have changed."""
        self._found: dict[Subset, list[Subset]] = {}

    def of(self, subset: Subset) -> list[Subset]:
        """The subset itself, or disjoint trained subsets that cover it.

        Raises:
            UsageError: There are none.
        """
        if subset not in self._found:
            self._found[subset] = self._partition(subset)
        return self._found[subset]

    def _partition(self, subset: Subset) -> list[Subset]:
        trained = self.informed.subsets
        if not self.whole or subset in trained:
            return partition(subset, trained)
        try:
            return partition(subset, [s for s in trained if s not in self.whole])
        except SearchLimit:
            raise
        except UsageError as error:
            theirs = listed(subset_name(s) for s in trained if s in self.whole)
            raise UsageError(
                f"{error} Posteriors of a family of their own ({theirs}) cannot be multiplied."
            ) from None


def product_of_experts(experts: Sequence[Any]) -> DiagonalGaussian:
    r"""Multiply posteriors of disjoint subsets with the prior N(0, I) divided out (T8).

    q ∝ p(z)^{1−K} Π_k q_k. Per dimension, with precisions Λ_k, Λ = 1 + Σ_k (max(Λ_k, 1) − 1) and
    Λ μ = Σ_k Λ_k μ_k. The result is exact if each expert is the exact diagonal Gaussian posterior
    of a linear-Gaussian model and none is broader than the prior. Otherwise it is an
    approximation, with Λ ≥ 1.

    Args:
        experts: K ≥ 1 diagonal Gaussians of the same shapes.

    Raises:
        ValueError: An expert is not a diagonal Gaussian.
    """
    for expert in experts:
        if not isinstance(expert, DiagonalGaussian):
            raise ValueError(
                f"A product of experts needs diagonal Gaussian posteriors, got "
                f"{type(expert).__name__}: train an encoder for this subset instead."
            )
    if len(experts) == 1:
        return DiagonalGaussian(experts[0].mean, experts[0].log_variance)
    precisions = torch.stack([(-e.log_variance).exp() for e in experts])
    means = torch.stack([e.mean for e in experts])
    total = 1.0 + (precisions.clamp(min=1.0) - 1.0).sum(0)
    return DiagonalGaussian((precisions * means).sum(0) / total, -total.log())
