"""JMVAE: prior, joint and subset posteriors and likelihoods together (T1 to T16)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.foundations.errors import ConfigError, UsageError
from mmvae.foundations.networks import evaluating
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset, canonical, family, subset_name
from mmvae.models.encoders import build_encoders, shaped_subsets
from mmvae.models.experts import Experts, product_of_experts
from mmvae.models.families import Shapes, Table
from mmvae.models.informed_subsets import Informed
from mmvae.models.jmvae_config import JMVAEConfig
from mmvae.models.objective import jmvae_objective
from mmvae.models.penalty import KLPenalty
from mmvae.models.phase import Phase, Terms
from mmvae.models.posteriors import DiagonalGaussian, Posterior, kl_divergence
from mmvae.models.prior import PRIOR, LearnedPrior
from mmvae.models.separate_encoders import SeparateEncoders
from mmvae.models.variational import VariationalModel


class JMVAE(VariationalModel):
    """Joint Multimodal VAE (Suzuki, Nakayama, Matsuo 2016, arXiv:1611.01891).

    Args:
        config: Its ``[model]`` section.
        codecs: Modality → fitted codec, in the order of the configuration.
        shapes: Families of subset posteriors (T14) and of a learned prior (T15).

    Raises:
        ConfigError: The section and the modalities do not fit together.
    """

    kind = "jmvae"
    Config = JMVAEConfig
    takes_missing = True
    takes_shapes = True

    def __init__(
        self, config: JMVAEConfig, codecs: Mapping[str, Codec], shapes: Shapes | None = None
    ) -> None:
        super().__init__(config, codecs, shapes)
        self.subsets = self._family()
        self.sometimes_missing: Subset = tuple(
            m for m, codec in self.codecs.items() if codec.sometimes_missing
        )
        self.sees_presence = bool(self.sometimes_missing) and config.missing != "zero"
        shaped = shaped_subsets(self.subsets, self.shapes)
        head = self.shapes.posterior.head if self.shapes.posterior else None
        self.encoders = build_encoders(
            config, self.codecs, self.subsets, shaped, head, self.sees_presence
        )
        self.encoders.joint_posterior.start_at(config.start_variance)
        self.informed = Informed(self.subsets, self.modalities, self._teachers())
        if self.sometimes_missing and self.subsets:  # else it is the model of the paper
            self.informed.remember()
        self.penalty = KLPenalty(config, self.informed)
        self.experts = Experts(self.informed, shaped)
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda model, _: model._informed_anew()
        )
        self.decoders = self.build_decoders()
        prior = self.shapes.prior
        self.learned_prior = None if prior is None else LearnedPrior(prior, config.latent_dim)

    # Inputs of Eq. 4, whose formula is in objective.py

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """The loss of JMVAE-kl on a batch, with one sample of z per item (T4, or T13).

        In the phase of a learned prior, the loss of that prior (T15).
        """
        if phase == PRIOR and self.learned_prior is not None:
            return self.learned_prior.loss(self._aggregate(batch), draws)
        drawn = self.penalty.draw(draws, self.training)
        q, q_subsets = self.encoders(batch.x, drawn, self._seen_presence(batch))
        z = q.rsample(draws.normal("z", self.latent_dim))
        return jmvae_objective(
            self.log_likelihoods(batch, z),
            kl_divergence(q, DiagonalGaussian.standard(q.mean)),
            self.penalty(q, q_subsets, z, batch.presence, drawn),
            self.likelihood_weights,
            beta=weight,
            gamma=weight if self.config.warmup == "all" else 1.0,
        )

    @property
    def likelihood_weights(self) -> dict[str, float]:
        """λ_m: the configured weight, scaled by the number of dimensions if asked (T12)."""
        weights = super().likelihood_weights
        if self.config.rescale == "dimensions":
            dims = {m: torch.Size(c.event_shape).numel() for m, c in self.codecs.items()}
            weights = {m: w * max(dims.values()) / dims[m] for m, w in weights.items()}
        return weights

    # Posteriors

    def posterior(self, observed: Mapping[str, Tensor]) -> Posterior:
        """q(z | x_S): the joint posterior, a subset's own, or a product of experts (T8).

        Args:
            observed: Modality → model input (b, event…), for the modalities of S.

        Raises:
            UsageError: S has no posterior, and no product of experts covers it.
        """
        subset = canonical(observed, self.modalities)
        if subset == self.modalities:
            return self.encoders.joint(observed)
        if not subset:
            raise UsageError("A posterior needs at least one modality; use the prior instead.")
        if self.config.missing == "zero":  # T9
            b, like = len(observed[subset[0]]), observed[subset[0]]
            blanks = {m: self.codecs[m].missing(b).to(like) for m in self.modalities}
            return self.encoders.joint(blanks | dict(observed))
        if self.config.alpha == 0:
            raise UsageError(
                f"This model was trained with model.alpha = 0, so it has no posterior for "
                f"{subset_name(subset)!r} alone, only for all of {', '.join(self.modalities)}. "
                f"Train with alpha > 0, or with model.missing = 'zero'."
            )
        places = [self.subsets.index(part) for part in self.experts.of(subset)]
        parts = [self.encoders.subset(observed, place) for place in places]
        return parts[0] if len(parts) == 1 else product_of_experts(parts)

    def lacks_posterior(self, subset: Subset) -> str | None:
        """The reason why there is no q(z|x_S), or None if there is one (T8)."""
        if subset == self.modalities or self.config.missing != "encoders":
            return None
        try:
            self.experts.of(subset)
        except UsageError as error:
            return str(error)
        return None

    def takes(self, observed: Subset) -> bool:
        """True if training items lacked every modality that these items lack."""
        known = self.sometimes_missing if self.sees_presence else ()
        return bool(observed) and all(m in observed or m in known for m in self.modalities)

    def joint_posterior(self, batch: Batch) -> Posterior:
        """q(z | x_O, O), with O the modalities of each item; for complete items q(z | x_M) (T13).

        Raises:
            UsageError: Items lack a modality that every training item had.
        """
        if not batch.presence:
            return self.posterior(batch.x)
        return self.encoders.joint(batch.x, self._seen_presence(batch))

    def _seen_presence(self, batch: Batch) -> dict[str, Tensor]:
        """The presence that encoders see: none in JMVAE-zero, which takes fill values (T9)."""
        if self.config.missing == "zero":
            return {}
        if strange := [
            m for m in self.modalities if m in batch.presence and m not in self.sometimes_missing
        ]:
            raise UsageError(
                f"Items lack {' and '.join(strange)}, which every training item of this model "
                f"had, so it has no joint posterior for them. Name the modalities that they have "
                f"with --given, or leave these items out."
            )
        return batch.presence

    # The family of subsets

    def _family(self) -> list[Subset]:
        """The subsets with a posterior of their own."""
        subsets = family(self.config.subsets, self.modalities)
        if self.config.missing == "zero" or self.config.alpha == 0:
            return []
        if not subsets and len(self.modalities) > 1:
            raise ConfigError(
                "model.subsets = []: expected at least one subset for the penalty. Set "
                "model.alpha = 0 to train without subset posteriors."
            )
        return subsets

    def _teachers(self) -> Subset:
        """The modalities that an item must have to inform subset posteriors (T13)."""
        try:
            return canonical(self.config.teachers, self.modalities)
        except UsageError as error:
            raise ConfigError(f"model.teachers: {error}") from None

    def _informed_anew(self) -> None:
        """Rebuild what depends on the set of informed subsets."""
        self.experts.forget()
        self.penalty.share()

    @property
    def trained_subsets(self) -> list[Subset]:
        """The subsets whose posteriors training items informed."""
        return self.informed.subsets

    def learn_patterns(self, patterns: Mapping[Subset, int]) -> None:
        """Record which subset posteriors some item informs; the others are never queried.

        Raises:
            ConfigError: No item informs a subset that the config lists, or no subset is informed.
        """
        if self.subsets:
            self.penalty.learn(patterns)
            self.experts.forget()

    def remarks(self) -> list[str]:
        """A remark on the subset posteriors that stay untrained."""
        return self.penalty.remarks()

    # Training

    def phases(self) -> list[Phase]:
        """One phase for all parameters, and one for those of a learned prior."""
        prior = self.learned_prior
        fitted = [] if prior is None else [prior.phase(self.shapes.prior_keys)]
        apart = set() if prior is None else {id(p) for p in prior.parameters()}
        own = [p for p in self.parameters() if id(p) not in apart and p.requires_grad]
        return [Phase("jmvae", own), *fitted]

    @property
    def skips_weights(self) -> bool:
        """True if a step draws only some of the subsets and some trunks are not shared."""
        some = self.penalty.per_step < len(self.subsets)
        apart = isinstance(self.encoders, SeparateEncoders)
        return some and (apart or bool(self.experts.whole))

    def begin_phase(self, phase: str, items: Iterable[tuple[Batch, StepDraws]]) -> None:
        """Initialise a learned prior from samples of the aggregate posterior, unless begun."""
        if phase == PRIOR and self.learned_prior is not None:
            self.learned_prior.begin((self._aggregate(b), draws) for b, draws in items)

    def _aggregate(self, batch: Batch) -> Posterior:
        """The posteriors of a batch, whose mean over all items is the aggregate posterior."""
        with torch.no_grad(), evaluating(self.encoders):
            return self.joint_posterior(batch)

    def fitted_prior(self, b: int) -> Posterior | None:
        """The prior of ``[prior]``, fitted to the aggregate posterior (T15).

        None also before its first epoch.
        """
        return None if self.learned_prior is None else self.learned_prior(b)

    def weights_of(self, table: Table) -> list[str]:
        """See :meth:`Model.weights_of`."""
        if table == "prior":
            return ["learned_prior"]
        return [f"encoders.{name}" for name in self.encoders.weights_of_family()]
