"""Experts: the subset posteriors whose product is the posterior of a larger subset (T8)."""

from __future__ import annotations

from collections.abc import Sequence

from mmvae.foundations.errors import SearchLimit, UsageError, listed
from mmvae.modalities.subsets import Subset, partition, subset_name
from mmvae.models.informed import Informed


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
