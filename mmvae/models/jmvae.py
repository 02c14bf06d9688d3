"""JMVAE: prior, joint and subset posteriors and likelihoods together (T1-T9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmvae.data.batches import Batch
from mmvae.foundations.errors import ConfigError, SearchLimit, UsageError, listed, nearest
from mmvae.foundations.networks import evaluating
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec import Codec, Parameters
from mmvae.modalities.subsets import Subset, canonical, family, partition, subset_name
from mmvae.models.base import ByModality, Model, Phase, Terms
from mmvae.models.encoders import PosteriorNetwork, SeparateEncoders, SharedEncoders
from mmvae.models.families import Shapes, Table
from mmvae.models.heads import MaskedHead, SubsetHeads
from mmvae.models.informed import Informed
from mmvae.models.jmvae_config import JMVAEConfig, check_alphas
from mmvae.models.objective import jmvae_objective
from mmvae.models.posteriors import DiagonalGaussian, Posterior, kl_divergence, product_of_experts
from mmvae.models.prior import PRIOR, LearnedPrior

MOST_PER_STEP = 16
"""Subsets that a training step takes unless told otherwise."""

MOST_HEADS = 64
"""Subsets that get heads of their own unless told otherwise."""

MOST_EVALUATED = 256
"""Subsets of which the penalty of a validation consists; larger families are drawn from."""


class JMVAE(Model):
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
    takes_gaps = True
    takes_shapes = True

    def __init__(
        self, config: JMVAEConfig, codecs: Mapping[str, Codec], shapes: Shapes | None = None
    ) -> None:
        super().__init__(config, codecs, shapes)
        self.subsets = self._trained_subsets()
        self._place = {s: k for k, s in enumerate(self.subsets)}
        self.of_family = self._subsets_of_family()
        self.gaps: Subset = tuple(m for m, codec in self.codecs.items() if codec.gaps)
        self.sees_gaps = bool(self.gaps) and config.missing != "zero"
        many = config.heads != "auto" or any(len(s) > 1 for s in self.subsets)
        separate = config.trunks == "separate" or (config.trunks == "auto" and not many)
        self.encoders = self._separate() if separate else self._shared()
        self.encoders.joint_posterior.start_at(config.start_variance)
        self.informed = Informed(self.subsets, self.modalities, self._teachers())
        if self.gaps and self.subsets:  # data without gaps: the model of the paper, no more
            self.informed.remember()
        self._note_informed()
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda model, _: model._note_informed()
        )
        self.decoders = ByModality(
            {m: codec.decoder(config.latent_dim) for m, codec in self.codecs.items()}
        )
        prior = self.shapes.prior
        self.learned_prior = None if prior is None else LearnedPrior(prior, config.latent_dim)

    @classmethod
    def recalled(cls, config: JMVAEConfig, modalities: Subset) -> JMVAEConfig:
        """See :meth:`Model.recalled`: before ``heads`` was a key, each subset had its own."""
        subsets = family(config.subsets, modalities)
        separate = config.trunks == "separate" or (
            config.trunks == "auto" and not any(len(s) > 1 for s in subsets)
        )
        unused = config.missing == "zero" or config.alpha == 0 or separate
        if "heads" in config.model_fields_set or unused or len(subsets) <= MOST_HEADS:
            return config
        return config.model_copy(update={"heads": "own"})

    def _trained_subsets(self) -> list[Subset]:
        subsets = family(self.config.subsets, self.modalities)
        if self.config.missing == "zero" or self.config.alpha == 0:
            return []
        if not subsets and len(self.modalities) > 1:
            raise ConfigError(
                "model.subsets = []: expected at least one subset for the penalty. Set "
                "model.alpha = 0 to train without subset posteriors."
            )
        return subsets

    def _subsets_of_family(self) -> list[bool]:
        """Which of the trained subsets have posteriors of the family of ``[posterior]``."""
        wanted = self.shapes.posterior_keys.subsets
        if self.shapes.posterior is None:
            return [False] * len(self.subsets)
        if not self.subsets:
            raise ConfigError(
                "[posterior] has no effect: this model trains no subset posteriors. Leave it out, "
                "or train with model.alpha > 0 and model.missing = 'encoders'."
            )
        names = {subset_name(s): s for s in self.subsets}
        for name in wanted or ():
            if name not in names:
                raise ConfigError(
                    f"posterior.subsets entry {name!r}: expected one of the subsets that the "
                    f"model trains: {listed(names)}.{nearest(name, names)}"
                )
        own = set(names if wanted is None else wanted)
        return [name in own for name in names]

    def _note_informed(self) -> None:
        """Go by which subsets some item informs, as it is known now."""
        self._made_of: dict[Subset, list[Subset]] = {}
        self._share_alphas()

    def _share_alphas(self) -> None:
        """Share 2α out among the subsets that some item informs, or their sizes (T6).

        Raises:
            ConfigError: A weight of ``subset_alpha`` is of no subset, or not above 0.
        """
        c, trained = self.config, set(self.trained_subsets)
        try:
            check_alphas(c.subset_alpha, self.subsets)
        except ValueError as error:
            raise ConfigError(f"model.subset_alpha: {error}") from None
        sizes = Counter(map(len, trained))
        share = {size: 2.0 * c.alpha / len(trained) for size in sizes}
        if c.alpha_by == "size":
            share = {size: 2.0 * c.alpha / len(sizes) / n for size, n in sizes.items()}
        self.alphas = [
            c.subset_alpha.get(subset_name(s), share[len(s)]) if s in trained else 0.0
            for s in self.subsets
        ]

    def _teachers(self) -> Subset:
        """What an item must have to inform subset posteriors (T13)."""
        try:
            return canonical(self.config.teachers, self.modalities)
        except UsageError as error:
            raise ConfigError(f"model.teachers: {error}") from None

    def _network(
        self,
        trunks: Mapping[str, nn.Module],
        feature_dims: Mapping[str, int],
        gaps: bool,
        of_family: bool,
    ) -> PosteriorNetwork:
        c = self.config
        return PosteriorNetwork(
            trunks,
            feature_dims,
            c.latent_dim,
            c.fusion,
            c.fusion_dim,
            c.activation,
            c.variance,
            gaps,
            self.shapes.posterior.head if of_family and self.shapes.posterior else None,
        )

    def _separate(self) -> SeparateEncoders:
        if self.config.heads != "auto" and self.subsets:
            raise ConfigError(
                f"model.heads = {self.config.heads!r} has no effect with model.trunks = "
                f"'separate', where each subset has a whole network of its own. Leave it out, or "
                f"set model.trunks = 'shared' or 'joint-apart'."
            )
        return SeparateEncoders(
            self.codecs, self.subsets, self.of_family, self._network, self.sees_gaps
        )

    def _shared(self) -> SharedEncoders:
        c = self.config
        masked = c.heads == "masked" or (c.heads == "auto" and len(self.subsets) > MOST_HEADS)

        def heads(
            subsets: Sequence[Subset], modalities: Subset, feature_dim: int, of_family: bool
        ) -> SubsetHeads | MaskedHead:
            sizes = (subsets, modalities, feature_dim, c.latent_dim)
            if of_family or masked:
                shaped = (
                    self.shapes.posterior.head if of_family and self.shapes.posterior else None
                )
                return MaskedHead(*sizes, c.fusion_dim, c.activation, c.variance, shaped)
            return SubsetHeads(*sizes, c.head_dim, c.activation, c.variance)

        return SharedEncoders(
            self.codecs,
            self.subsets,
            self.of_family,
            self._network,
            c.feature_dim,
            heads,
            self.sees_gaps,
            c.trunks == "joint-apart" and bool(self.subsets),
        )

    def learn_patterns(self, patterns: Mapping[Subset, int]) -> None:
        """Learn which subset posteriors some item informs; the others are never asked.

        Raises:
            ConfigError: A subset that the config lists has no item, or no subset has one.
        """
        if not self.subsets:
            return
        known = self.informed.learn(patterns)
        self._note_informed()
        listed = isinstance(self.config.subsets, list)
        lacking = [s for s, has in zip(self.subsets, known, strict=True) if not has]
        if lacking and (listed or not any(known)):
            teachers = ", ".join(self.config.teachers)
            taught = f", among them {teachers} (model.teachers)" if teachers else ""
            raise ConfigError(
                f"model.subsets: no training item can inform the posterior of "
                f"{subset_name(lacking[0])!r}: that takes items with {', '.join(lacking[0])} and "
                f"at least one more modality{taught}. Leave that subset out, or set "
                f"model.alpha = 0 to train without subset posteriors. `mmvae data describe` shows "
                f"what items have."
            )

    def remarks(self) -> list[str]:
        """Which subsets no item informs, so that their posteriors stay untrained."""
        trained = set(self.trained_subsets)
        lacking = [subset_name(s) for s in self.subsets if s not in trained]
        if not lacking:
            return []
        more = f" and {len(lacking) - 3} more" if len(lacking) > 3 else ""
        return [
            f"no training item informs the posterior of {', '.join(lacking[:3])}{more}: that "
            f"takes items that have more; asked for, it is put together of others where possible"
        ]

    @property
    def trained_subsets(self) -> list[Subset]:
        """The subsets whose posteriors training items informed."""
        return self.informed.subsets

    @property
    def latent_dim(self) -> int:
        """Dimensions of z."""
        return int(self.config.latent_dim)

    @property
    def likelihood_weights(self) -> dict[str, float]:
        """λ_m: by hand, times a share by the number of dimensions where asked (T12)."""
        weights = {m: float(codec.config.weight) for m, codec in self.codecs.items()}
        if self.config.rescale == "dimensions":
            dims = {m: torch.Size(c.event_shape).numel() for m, c in self.codecs.items()}
            weights = {m: w * max(dims.values()) / dims[m] for m, w in weights.items()}
        return weights

    def posterior(self, observed: Mapping[str, Tensor]) -> Posterior:
        """q(z | x_S): the joint posterior, a subset's own, or a product of experts (T8).

        Args:
            observed: Modality → model input (b, event…), for the modalities of S.

        Raises:
            UsageError: S has no posterior and none can be put together.
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
        parts = [self.encoders.subset(observed, self._place[part]) for part in self._parts(subset)]
        return parts[0] if len(parts) == 1 else product_of_experts(parts)

    def _parts(self, subset: Subset) -> list[Subset]:
        """The trained subsets whose posteriors make up that of S: itself, or factors (T8).

        Raises:
            UsageError: There are none.
        """
        if subset not in self._made_of:
            self._made_of[subset] = self._partition(subset)
        return self._made_of[subset]

    def _partition(self, subset: Subset) -> list[Subset]:
        trained = self.trained_subsets
        if not any(self.of_family) or subset in trained:
            return partition(subset, trained)
        whole = {s for s, own in zip(self.subsets, self.of_family, strict=True) if own}
        try:
            return partition(subset, [s for s in trained if s not in whole])
        except SearchLimit:
            raise
        except UsageError as error:
            theirs = listed(subset_name(s) for s in trained if s in whole)
            raise UsageError(
                f"{error} Posteriors of a family of their own ({theirs}) cannot be multiplied."
            ) from None

    def takes(self, observed: Subset) -> bool:
        """Whether all others are modalities that training items lacked, too."""
        known = self.gaps if self.sees_gaps else ()
        return bool(observed) and all(m in observed or m in known for m in self.modalities)

    def joint_posterior(self, batch: Batch) -> Posterior:
        """q(z | x_O, O), with O what each item has; of complete items q(z | x_M) (T13).

        Raises:
            UsageError: Items lack a modality that every training item had.
        """
        if not batch.gaps:
            return self.posterior(batch.x)
        return self.encoders.joint(batch.x, self._shown_gaps(batch))

    def _shown_gaps(self, batch: Batch) -> dict[str, Tensor]:
        """What encoders see of gaps: nothing in JMVAE-zero, which takes stand-ins (T9)."""
        if self.config.missing == "zero":
            return {}
        if strange := [m for m in self.modalities if m in batch.gaps and m not in self.gaps]:
            raise UsageError(
                f"Items lack {' and '.join(strange)}, which every item had that this model was "
                f"trained on: it has no joint posterior of them. Name with --given what they "
                f"have, or leave them out."
            )
        return batch.gaps

    def prior(self, given: Mapping[str, Tensor], b: int) -> Posterior:
        """p(z) = N(0, I) with batch shape (b,); nothing is given to it (T1)."""
        like = next(self.parameters())
        return DiagonalGaussian.standard(like.new_zeros(b, self.latent_dim, dtype=torch.float32))

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

    def parameters_of(
        self, modality: str, z: Tensor, given: Mapping[str, Tensor] | None = None
    ) -> Parameters:
        """Decode flat latents (n, d) to the parameters of p(x_m | z)."""
        parameters: Parameters = self.decoders[modality](z)
        return parameters

    def supports(self, targets: Subset, given: Subset, proposal: Subset) -> str | None:
        """None where the figure can be had, else the reason why it can't (T10)."""
        if set(targets) & set(given):
            return f"{subset_name(targets)} and {subset_name(given)} overlap."
        try:
            canonical((*targets, *given, *proposal), self.modalities)
            if proposal != self.modalities and self.config.missing == "encoders":
                self._parts(proposal)
        except UsageError as error:
            return str(error)
        return None

    def phases(self) -> list[Phase]:
        """One update of all parameters, and one of those of a learned prior."""
        prior = self.learned_prior
        fitted = [] if prior is None else [prior.phase(self.shapes.prior_keys)]
        apart = set() if prior is None else {id(p) for p in prior.parameters()}
        own = [p for p in self.parameters() if id(p) not in apart and p.requires_grad]
        return [Phase("jmvae", own), *fitted]

    @property
    def skips_weights(self) -> bool:
        """Trunks of subsets that a step did not draw get no gradient; shared ones always do."""
        some = self._per_step < len(self.subsets)
        apart = isinstance(self.encoders, SeparateEncoders)
        return some and (apart or any(self.of_family))

    def compilable(self) -> Iterable[nn.Module]:
        """The decoders and every encoder trunk."""
        trunks = [m for m in self.encoders.modules() if isinstance(m, ByModality)]
        return [network for group in (*trunks, self.decoders) for network in group.values()]

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """The loss of JMVAE-kl on a batch, with one sample of z per item (T4, with gaps T13).

        In the phase of a learned prior it is the loss of that one (T15).
        """
        if phase == PRIOR and self.learned_prior is not None:
            return self.learned_prior.loss(self._of_aggregate(batch), draws)
        drawn, has = self._draw(draws), batch.gaps
        joint, subset_posteriors = self.encoders(batch.x, drawn, self._shown_gaps(batch))
        fixed = self.config.penalty_gradient == "subsets"
        z = joint.rsample(draws.normal("z", self.latent_dim))
        log_likelihoods = {
            m: self.log_likelihood(m, z, batch.x[m], batch.observed[m], present=has.get(m))
            for m in self.modalities
        }
        kl = kl_divergence(joint, DiagonalGaussian.standard(joint.mean))
        penalties = None
        alphas: list[float] | Tensor = []
        if subset_posteriors is not None:
            penalties = subset_posteriors.divergences(
                joint.detach() if fixed else joint, z.detach() if fixed else z
            )
            scale = self.informed.counts(drawn)
            alphas = [self.alphas[k] * scale for k in drawn]
            if has:
                alphas = self.informed.weights(alphas, drawn, has)
                penalties = torch.where(alphas > 0, penalties, 0.0)
        return jmvae_objective(
            log_likelihoods,
            kl,
            penalties,
            self.subsets if len(drawn) == len(self.subsets) else (),
            alphas,
            self.likelihood_weights,
            beta=weight,
            gamma=weight if self.config.warmup == "all" else 1.0,
        )

    def begin_phase(self, phase: str, items: Iterable[tuple[Batch, StepDraws]]) -> None:
        """Let a learned prior begin from samples of the aggregate posterior, unless it has."""
        if phase == PRIOR and self.learned_prior is not None:
            self.learned_prior.begin((self._of_aggregate(b), draws) for b, draws in items)

    def _of_aggregate(self, batch: Batch) -> Posterior:
        """The posteriors of a batch, whose mean over all items is the aggregate posterior."""
        with torch.no_grad(), evaluating(self.encoders):
            return self.joint_posterior(batch)

    @property
    def _per_step(self) -> int:
        """How many subsets a training step takes."""
        count = self.config.subsets_per_step
        few = len(self.subsets) if len(self.subsets) <= MOST_PER_STEP else MOST_PER_STEP
        return min(count or few, len(self.subsets))

    def _draw(self, draws: StepDraws) -> list[int]:
        """Those of a step; in evaluation all, or of very many the same ones every time."""
        family = len(self.subsets)
        count = self._per_step if self.training else min(family, MOST_EVALUATED)
        return list(range(family)) if count == family else self.informed.draw(draws, count)
