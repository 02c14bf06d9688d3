"""The model protocol: the methods that bounds, generation and statistics call on a model."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.data.batches import Batch
from mmvae.foundations.errors import ConfigError, UsageError, nearest
from mmvae.modalities.codec import Codec
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.modalities.subsets import Subset
from mmvae.models.families import Shapes, Table
from mmvae.models.parameters import held_fixed, in_float32
from mmvae.models.posteriors import Posterior
from mmvae.models.trainable import Trainable


class ModelConfig(BaseModel):
    """The keys of ``[model]`` that every model has; a model's own Config adds to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Model(Trainable):
    """A latent-variable model over named modalities.

    Args:
        config: The validated ``Config``.
        codecs: Modality → fitted codec, in the order of the configuration.
        shapes: The families that the config chose, for models with :attr:`takes_shapes`.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``kind = "jmvae"``."""

    Config: ClassVar[type[ModelConfig]] = ModelConfig

    conditional: ClassVar[bool] = False
    """True if prior or likelihoods condition on given modalities, as p(x|z, w) in a CVAE."""

    takes_shapes: ClassVar[bool] = False
    """True if it takes ``[posterior]`` and ``[prior]``, as a third argument of the constructor."""

    def __init__(
        self, config: Any, codecs: Mapping[str, Codec], shapes: Shapes | None = None
    ) -> None:
        super().__init__()
        self.config, self.codecs = config, dict(codecs)
        self.modalities: Subset = tuple(codecs)
        self.shapes = shapes or Shapes()
        self._still: list[nn.Module] = []

    @property
    def bare(self) -> Model:
        """The model itself."""
        return self

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Dimensions of z, d."""

    @property
    def decoded(self) -> Subset:
        """The modalities with a likelihood; the others are always given to a conditional model."""
        return self.modalities

    @property
    def likelihood_weights(self) -> dict[str, float]:
        """λ_m, the weight of log p(x_m|z) in the loss (T12); default: that of config or codec."""
        return {m: float(self.codecs[m].config.weight) for m in self.decoded}

    @abstractmethod
    def posterior(self, observed: Mapping[str, Tensor]) -> Posterior:
        """q(z | x_S) for the modalities S among the keys of ``observed``, each (b, event…).

        Called for penalties, bounds, statistics and all queries of a trained model; batch shape
        (b,), event shape (d,), float32. A conditional model that is given only its condition
        returns its prior.

        Raises:
            UsageError: The model has no posterior for S; the message names what it has.
        """

    def learn_patterns(self, patterns: Mapping[Subset, int]) -> None:
        """Called once before training on items with missing modalities; default: nothing.

        Only for models with ``takes_missing``; later :meth:`objective` gets batches with
        :attr:`~mmvae.data.batches.Batch.present`.

        Args:
            patterns: Set of modalities that an item has → number of items with exactly these.

        Raises:
            ConfigError: The model cannot learn from these patterns something that it has to.
        """

    def takes(self, observed: Subset) -> bool:
        """True if :meth:`joint_posterior` takes items that have these modalities only."""
        return observed == self.modalities

    def joint_posterior(self, batch: Batch) -> Posterior:
        """q(z | x_M) of a batch's items; q(z | x_O, O) of items that have O only (T13).

        Raises:
            UsageError: Items lack modalities, and the model was not trained on such items.
        """
        if batch.presence:
            raise UsageError(
                f"A {self.kind!r} model has no joint posterior for items that lack "
                f"{' or '.join(batch.presence)}. Leave incomplete items out: "
                f"data.incomplete = 'discard'."
            )
        return self.posterior(batch.x)

    @abstractmethod
    def prior(self, given: Mapping[str, Tensor], b: int) -> Posterior:
        """p(z), or p(z | given) in models that condition on some modality; batch shape (b,).

        Args:
            given: Modality → its model input (b, event…); modalities that the model does not
                condition on are ignored.
            b: Batch size.
        """

    def fitted_prior(self, b: int) -> Posterior | None:
        """The prior fitted to the aggregate posterior, for samples without given modalities.

        Bounds and penalties use :meth:`prior`.

        Args:
            b: Its batch shape is (b,).

        Returns:
            None, the default, if there is none.
        """
        return None

    def sampling_prior(self, b: int) -> Posterior:
        """The distribution of unconditional samples of z: the fitted prior, or else p(z)."""
        fitted = self.fitted_prior(b)
        return self.prior({}, b) if fitted is None else fitted

    def train(self, mode: bool = True) -> Self:
        """Set training mode for all but frozen parts, whose running statistics stay fixed."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def remarks(self) -> list[str]:
        """Remarks for the user before training starts, one sentence each."""
        return []

    def freeze(self, names: Sequence[str]) -> None:
        """Hold weights fixed in all further training.

        Args:
            names: Prefixes of the names of those weights.

        Raises:
            ConfigError: No weight has such a prefix, or no weight is left to train.
        """
        weights = dict(self.named_parameters())
        for name in names:
            frozen = [n for n in weights if n == name or n.startswith(name.rstrip(".") + ".")]
            if not frozen:
                known = sorted({".".join(n.split(".")[:k]) for n in weights for k in (1, 2)})
                raise ConfigError(
                    f"train.freeze entry {name!r}: no weight has a name that begins with it; "
                    f"there are "
                    f"{', '.join(known)} and their parts.{nearest(name, known)}"
                )
            for n in frozen:
                weights[n].requires_grad_(False)
        if names and not any(p.requires_grad for p in weights.values()):
            raise ConfigError(
                f"train.freeze = {list(names)}: no weight is left to train. Leave one out."
            )
        self._still = [
            module
            for module in self.modules()
            if list(module.parameters()) and not any(p.requires_grad for p in module.parameters())
        ]
        self.train(self.training)

    def weights_of(self, table: Table) -> Sequence[str]:
        """Name prefixes of the weights that belong to the family of a table; default: none."""
        return ()

    @abstractmethod
    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Parameters:
        """Decode flat latents ``z`` (n, d) to the parameters of p(x_m | z[, given]), (n, …) each.

        Called by :meth:`likelihood`, perhaps under autocast; n counts items times samples.
        """

    @abstractmethod
    def supports(self, targets: Subset, given: Subset, proposal: Subset) -> str | None:
        """Why log p(targets | given) by samples of q(z | proposal) is unavailable, or None.

        Called before a bound or statistic is computed, with modalities in the model's order. The
        reason is a phrase that is shown to the user. No tensors are touched.
        """

    def likelihood(
        self, modality: str, z: Tensor, given: Mapping[str, Tensor] | None = None
    ) -> Distribution:
        """p(x_m | z) with flat batch shape (n,) for latents ``z`` of shape (n, d), in float32.

        Fold sample dimensions with :func:`fold` first: codecs see flat batches only. A model
        changes its likelihoods in :meth:`parameters_of`, never here: evaluation decodes samples of
        the prior once where all items share them.
        """
        parameters = self.parameters_of(modality, z, given or {})
        return self.codecs[modality].likelihood(in_float32(parameters))

    def log_likelihood(
        self,
        modality: str,
        z: Tensor,
        x: Tensor,
        observed: Tensor | None = None,
        given: Mapping[str, Tensor] | None = None,
        present: Tensor | None = None,
    ) -> Tensor:
        """Nats of log p(x_m | z[, given]), shape (n,); 0 for items that lack m.

        Args:
            modality: m.
            z: Latents, flat, (n, d).
            x: Model input of m, (n, event…).
            observed: Mask of its observed cells, or None if all are observed.
            given: Condition → its model input (n, event…), for conditional models.
            present: Mask of the items that have m, bool (n,), or None if all have. Other items
                contribute nothing to the gradient, which is 0 where no item has m.
        """
        codec = self.codecs[modality]
        if present is None:
            return codec.log_prob(self.likelihood(modality, z, given), x, observed)
        parameters = in_float32(self.parameters_of(modality, z, given or {}))
        likelihood = codec.likelihood(held_fixed(parameters, ~present))
        return torch.where(present, codec.log_prob(likelihood, x, observed), 0.0)
