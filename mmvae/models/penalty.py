"""The KL penalty: subset posteriors are pulled towards the joint posterior (T5, T6, T13)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mmvae.foundations.errors import ConfigError
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.informed_subsets import Informed
from mmvae.models.jmvae_config import JMVAEConfig, check_alphas
from mmvae.models.objective import Penalty, kl_penalty
from mmvae.models.posteriors import Posterior
from mmvae.models.subset_posteriors import SubsetPosteriors

MOST_PER_STEP = 16
"""Default number of subsets in a training step."""

MOST_EVALUATED = 256
"""Number of subsets in the penalty of a validation; a larger family is sampled."""


class KLPenalty:
    r"""Σ_S α_S KL(q(z|x_M) ‖ q_S(z|x_S)).

    Args:
        config: ``[model]``: α and how subsets share it, and how many subsets a step draws.
        informed: The family 𝒮, and its members that training items inform.

    Attributes:
        alphas: α_S of the family, 0 for members that no training item informs.

    Raises:
        ConfigError: A weight of ``subset_alpha`` belongs to no subset, or is not above 0.
    """

    def __init__(self, config: JMVAEConfig, informed: Informed) -> None:
        self.config, self.informed = config, informed
        self.share()

    def share(self) -> None:
        """Divide 2α among the subsets that some item informs, or among their sizes (T6)."""
        c, trained = self.config, set(self.informed.subsets)
        try:
            check_alphas(c.subset_alpha, self.informed.family)
        except ValueError as error:
            raise ConfigError(f"model.subset_alpha: {error}") from None
        sizes = Counter(map(len, trained))
        share = {size: 2.0 * c.alpha / len(trained) for size in sizes}
        if c.alpha_by == "size":
            share = {size: 2.0 * c.alpha / len(sizes) / n for size, n in sizes.items()}
        self.alphas = [
            c.subset_alpha.get(subset_name(s), share[len(s)]) if s in trained else 0.0
            for s in self.informed.family
        ]

    def learn(self, patterns: Mapping[Subset, int]) -> None:
        """Record which subset posteriors some item informs; only these share 2α (T13).

        Args:
            patterns: Set of modalities that an item has → number of such items.

        Raises:
            ConfigError: No item informs a subset that the config lists, or no subset is informed.
        """
        known = self.informed.learn(patterns)
        self.share()
        lacking = [s for s, has in zip(self.informed.family, known, strict=True) if not has]
        if lacking and (isinstance(self.config.subsets, list) or not any(known)):
            teachers = ", ".join(self.config.teachers)
            taught = f", among them {teachers} (model.teachers)" if teachers else ""
            raise ConfigError(
                f"model.subsets: no training item can train the posterior of "
                f"{subset_name(lacking[0])!r}: this needs items with {', '.join(lacking[0])} and "
                f"at least one more modality{taught}. Leave that subset out, or set "
                f"model.alpha = 0 to train without subset posteriors. `mmvae data describe` shows "
                f"what items have."
            )

    def remarks(self) -> list[str]:
        """A remark on the subset posteriors that stay untrained; empty if there are none."""
        trained = set(self.informed.subsets)
        lacking = [subset_name(s) for s in self.informed.family if s not in trained]
        if not lacking:
            return []
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return [
            f"no training item trains the posterior of {', '.join(lacking[:3])}{more}: this "
            f"needs items with more modalities; a query combines other posteriors where possible"
        ]

    @property
    def per_step(self) -> int:
        """Number of subsets in a training step."""
        family = len(self.informed.family)
        return min(self.config.subsets_per_step or MOST_PER_STEP, family)

    def draw(self, draws: StepDraws, training: bool) -> list[int]:
        """Subset indices for this step; in eval mode all, or a fixed sample of large families."""
        family = len(self.informed.family)
        count = self.per_step if training else min(family, MOST_EVALUATED)
        return list(range(family)) if count == family else self.informed.draw(draws, count)

    def __call__(
        self,
        q: Posterior,
        subset_posteriors: SubsetPosteriors | None,
        z: Tensor,
        presence: Mapping[str, Tensor],
        drawn: Sequence[int],
    ) -> Penalty | None:
        """The penalty of a batch, nats.

        Args:
            q: The joint posterior q(z|x_M), batch shape (b,).
            subset_posteriors: q_S(z|x_S) of the n drawn subsets; None without any.
            z: A sample of the joint posterior, (b, d), for divergences without a closed form.
            presence: Modality → mask of the items that have it, bool (b,), where some lack it
                (T13).
            drawn: Indices of the drawn subsets in the family.
        """
        if subset_posteriors is None:
            return None
        if self.config.penalty_gradient == "subsets":
            q, z = q.detach(), z.detach()
        divergences = subset_posteriors.divergences(q, z)
        scale = self.informed.counts(drawn)
        alphas = [self.alphas[k] * scale for k in drawn]
        family = self.informed.family if len(drawn) == len(self.informed.family) else ()
        if not presence:
            return kl_penalty(divergences, alphas, family)
        weights = self.informed.weights(alphas, drawn, presence)
        return kl_penalty(torch.where(weights > 0, divergences, 0.0), weights, family)
