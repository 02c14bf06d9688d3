"""Informed subset posteriors: an item informs those of the proper subsets of its modalities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.subsets import Subset
from mmvae.models.heads import membership, rows_of

PATTERNS = 64
"""Number of missingness patterns compared with the family at once."""


class Informed(nn.Module):
    r"""The members of a family 𝒮 that items with missing modalities inform; their weights (T13).

    An item with the modalities O informs 𝒮_O = {S ∈ 𝒮 : S ⊊ O}. With teachers T, an item that does
    not have all of T informs no subset.

    Args:
        subsets: The family 𝒮.
        modalities: All modalities, in the order of the configuration.
        teachers: T.
    """

    mask: Tensor
    teachers: Tensor
    ever: Tensor

    def __init__(
        self, subsets: Sequence[Subset], modalities: Subset, teachers: Subset = ()
    ) -> None:
        super().__init__()
        self.family, self.modalities = list(subsets), modalities
        self.known = list(range(len(self.family)))  # members informed by training items
        self.register_buffer("mask", membership(subsets, modalities), persistent=False)
        taught = membership([teachers], modalities)[0]
        self.register_buffer("teachers", taught, persistent=False)

    def remember(self) -> None:
        """Allocate the buffers that :meth:`learn` fills; they are saved with the weights."""
        self.register_buffer("ever", torch.ones(len(self.family), dtype=torch.bool))

    def learn(self, patterns: Mapping[Subset, int]) -> list[bool]:
        """Record the members that some item informs.

        Args:
            patterns: Set of modalities that an item has → number of such items.
        """
        found = torch.zeros(len(self.family), dtype=torch.bool, device=self.mask.device)
        largest_first = sorted(patterns, key=len, reverse=True)
        every = membership(largest_first, self.modalities).to(self.mask)
        for start in range(0, len(every), PATTERNS):
            has = every[start : start + PATTERNS]
            left = (~found).nonzero().flatten()  # largest patterns first: few are left after
            found[left] = self._inside(self.mask[left], has).any(1)
        self.ever.copy_(found)
        self.known = found.nonzero().flatten().tolist()
        return [bool(known) for known in found]

    @property
    def subsets(self) -> list[Subset]:
        """The members that training items informed; all of them if no item lacked a modality."""
        if not hasattr(self, "ever"):
            return self.family
        known = self.ever.tolist()
        return [s for s, informed in zip(self.family, known, strict=True) if informed]

    def draw(self, draws: StepDraws, count: int) -> list[int]:
        """Draw members for a step, ascending, only from those that training items inform.

        Other members have no weight in any loss, so drawing them would be of no use.

        Args:
            draws: The step's randomness.
            count: n, the number to draw; all that are informed if they are fewer.
        """
        chosen = draws.choice("subsets", len(self.known), min(count, len(self.known)))
        return [self.known[k] for k in chosen]

    def counts(self, drawn: Sequence[int]) -> float:
        """The factor of each drawn member in a step, so that the expectation is the full sum."""
        return len(self.known) / len(drawn) if len(drawn) < len(self.known) else 1.0

    def weights(
        self, alphas: Sequence[float], drawn: Sequence[int], present: Mapping[str, Tensor]
    ) -> Tensor:
        """α_S of each item, 0 where it does not inform S.

        Args:
            alphas: α_S of the drawn members, n.
            drawn: The members of the family that they belong to.
            present: Modality → which items have it, bool (b,); no entry if all have.

        Returns:
            Float32 (n, b).
        """
        some = next(iter(present.values()))
        whole = torch.ones_like(some)
        has = torch.stack([present.get(m, whole) for m in self.modalities], -1).float()
        inside = self._inside(rows_of(self.mask, drawn), has)
        each = torch.tensor(alphas, dtype=torch.float32).to(some.device, non_blocking=True)
        return torch.where(inside, each.unsqueeze(1), 0.0)

    def _inside(self, mask: Tensor, has: Tensor) -> Tensor:
        """True where an item, by its mask has (b, N), informs a subset (n, N); bool (n, b)."""
        shared = mask @ has.T  # counts of up to N are exact in any precision
        size = mask.sum(1, keepdim=True)
        teaches = has @ self.teachers == self.teachers.sum()
        return (shared == size) & (size < has.sum(1)) & teaches
