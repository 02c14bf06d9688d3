"""The model protocol: all that bounds, generation and figures know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.data.batches import Batch
from mmvae.foundations.errors import ConfigError, UsageError, nearest
from mmvae.foundations.randomness import StepDraws
from mmvae.modalities.codec import Codec, Parameters
from mmvae.modalities.subsets import Subset
from mmvae.models.families import Shapes, Table
from mmvae.models.posteriors import Posterior


class ModelConfig(BaseModel):
    """The keys of ``[model]`` that every model has; a model's own Config adds to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Terms:
    """What an objective puts out for one batch.

    Attributes:
        loss: Nats per item, shape (b,); falls as the model gets better; the trainer averages.
        named: Term → nats per item, shape (b,); signs as their names say.
    """

    loss: Tensor
    named: Mapping[str, Tensor]


@dataclass(frozen=True)
class Phase:
    """One update within a training step: its own loss over its own parameters.

    Attributes:
        name: Used in checkpoints and metrics.
        parameters: What this phase's optimizer updates. While it does, those of other phases are
            held fixed: its loss has no gradient for them.
        settings: Keys of ``[train]`` that this phase has values of its own for: ``optimizer``,
            ``learning_rate``, ``betas``, ``eps``, ``momentum``, ``weight_decay``, ``clip_norm``,
            ``clip_value``. A schedule of the learning rate holds for all phases.
        first_epoch: The first epoch, from 0, that has this phase. Best weights by validation are
            of after the last one began.
    """

    name: str
    parameters: Sequence[nn.Parameter]
    settings: Mapping[str, Any] = field(default_factory=dict)
    first_epoch: int = 0


class ByModality(nn.ModuleDict):
    """Networks by the name of a modality, also where torch's dict has that attribute: ``values``.

    Reach them by ``networks[name]``; they are never attributes.
    """

    def __setitem__(self, key: str, module: nn.Module) -> None:
        self._modules[key] = module  # as add_module, which refuses the names of attributes

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # so that `training` may be both


class Trainable(nn.Module, ABC):
    """What the training loop trains: a model, or a model with extensions around it."""

    takes_gaps: ClassVar[bool] = False
    """Whether it can be trained on items that lack modalities."""

    @property
    @abstractmethod
    def bare(self) -> Model:
        """The model itself, which is what validation, figures and the final model know."""

    @abstractmethod
    def phases(self) -> list[Phase]:
        """The updates of one training step, in order; the same at every call.

        Called when a training begins, after the weights have reached their device. Each parameter
        that is trained belongs to one of them.
        """

    @abstractmethod
    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """The loss of one phase and its named terms, nats per item.

        Called once in each step for each phase (for each part of a batch that is accumulated),
        under autocast, in train mode; and of a model alone for validation, in eval mode. All
        randomness comes from ``draws``, but for layers such as dropout. A term that is no part of
        the loss must not have a gradient of its own (``detach`` it).

        Args:
            phase: Name of the phase.
            batch: Model input of b items.
            draws: The step's randomness, of the same b items.
            weight: Warm-up weight β in [0, 1] (T11).
        """

    def begin_step(self, epoch: int) -> None:
        """Called before each training step with its epoch, from 0; default: nothing."""

    def begin_phase(self, phase: str, items: Iterable[tuple[Batch, StepDraws]]) -> None:
        """Called once, without gradients, before the first step of a phase; default: nothing.

        For weights that are better begun from the data than from chance. Every process is called;
        what the leading one makes of the phase's parameters and buffers counts for all.

        Args:
            phase: Name of the phase.
            items: Training items in an order of the seed, in batches that are read as they are
                asked for, with the randomness for each.
        """

    @property
    def together(self) -> bool:
        """Whether all phases of a step take their gradients before any of them updates."""
        return False

    @property
    def skips_weights(self) -> bool:
        """Whether a step's loss may leave some weights out; processes must know of it."""
        return False

    def compilable(self) -> Iterable[nn.Module]:
        """Networks that ``train.compile`` compiles in place; default: none."""
        return ()


class Model(Trainable):
    """A latent-variable model over named modalities.

    Args:
        config: The validated ``Config``.
        codecs: Modality → fitted codec, in the order of the configuration.
        shapes: The families that a config chose, of models with :attr:`takes_shapes`.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``kind = "jmvae"``."""

    Config: ClassVar[type[ModelConfig]] = ModelConfig

    conditional: ClassVar[bool] = False
    """Whether prior or likelihoods condition on what is given, as p(x|z, w) in a CVAE does."""

    takes_shapes: ClassVar[bool] = False
    """Whether it takes ``[posterior]`` and ``[prior]``, as a third argument of its own."""

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
        """Itself."""
        return self

    @property
    @abstractmethod
    def latent_dim(self) -> int:
        """Dimensions of z, d."""

    @property
    def decoded(self) -> Subset:
        """The modalities with a likelihood; a conditional model is always given the others."""
        return self.modalities

    @property
    def likelihood_weights(self) -> dict[str, float]:
        """λ_m, what log p(x_m|z) counts in the loss (T12); default: by hand, as codecs say."""
        return {m: float(self.codecs[m].config.weight) for m in self.decoded}

    @abstractmethod
    def posterior(self, observed: Mapping[str, Tensor]) -> Posterior:
        """q(z | x_S) for the modalities S among the keys of ``observed``, each (b, event…).

        Called for penalties, bounds, figures and whatever a trained model is asked; batch shape
        (b,), event shape (d,), float32. A conditional model that was given no more than its
        condition answers with its prior.

        Raises:
            UsageError: The model has no posterior for S; the message names what it has.
        """

    def learn_patterns(self, patterns: Mapping[Subset, int]) -> None:
        """Called once, before a training on items that lack modalities; default: nothing.

        Only of models with ``takes_gaps``; later :meth:`objective` gets batches with
        :attr:`~mmvae.data.batches.Batch.present`.

        Args:
            patterns: Which modalities training items have → how many items have these alone.

        Raises:
            ConfigError: Something that the model is to learn cannot be learned from them.
        """

    def takes(self, observed: Subset) -> bool:
        """Whether :meth:`joint_posterior` takes items that have these modalities alone."""
        return observed == self.modalities

    def joint_posterior(self, batch: Batch) -> Posterior:
        """q(z | x_M) of a batch's items; q(z | x_O, O) of items that have O only (T13).

        Raises:
            UsageError: Items lack modalities, and the model was not trained on such items.
        """
        if batch.gaps:
            raise UsageError(
                f"A {self.kind!r} model has no joint posterior of items that lack "
                f"{' or '.join(batch.gaps)}. Leave incomplete items out: "
                f"data.incomplete = 'discard'."
            )
        return self.posterior(batch.x)

    @abstractmethod
    def prior(self, given: Mapping[str, Tensor], b: int) -> Posterior:
        """p(z), or p(z | given) in models that condition on some modality; batch shape (b,).

        Args:
            given: Modality → its model input (b, event…); what the model does not condition on is
                ignored.
            b: How many.
        """

    def fitted_prior(self, b: int) -> Posterior | None:
        """A prior that was fitted to the aggregate posterior, for samples where nothing is given.

        Bounds and penalties keep :meth:`prior`.

        Args:
            b: Its batch shape is (b,).

        Returns:
            None, the default, where there is none.
        """
        return None

    def sampling_prior(self, b: int) -> Posterior:
        """What unconditional samples of z come from: the fitted prior, or else p(z)."""
        fitted = self.fitted_prior(b)
        return self.prior({}, b) if fitted is None else fitted

    def train(self, mode: bool = True) -> Self:
        """Training mode for all but frozen parts, whose running statistics stay as they are."""
        super().train(mode)
        for module in self._still:
            module.eval()
        return self

    def remarks(self) -> list[str]:
        """What people should know before it trains, a sentence each."""
        return []

    def freeze(self, names: Sequence[str]) -> None:
        """Hold weights as they are in all further training.

        Args:
            names: What the names of those weights begin with.

        Raises:
            ConfigError: No weight begins so, or none is left to be trained.
        """
        weights = dict(self.named_parameters())
        for name in names:
            held = [n for n in weights if n == name or n.startswith(name.rstrip(".") + ".")]
            if not held:
                known = sorted({".".join(n.split(".")[:k]) for n in weights for k in (1, 2)})
                raise ConfigError(
                    f"train.freeze entry {name!r}: no weight's name begins so; there are "
                    f"{', '.join(known)} and their parts.{nearest(name, known)}"
                )
            for n in held:
                weights[n].requires_grad_(False)
        if names and not any(p.requires_grad for p in weights.values()):
            raise ConfigError(
                f"train.freeze = {list(names)}: nothing is left to be trained. Leave one out."
            )
        self._still = [
            module
            for module in self.modules()
            if list(module.parameters()) and not any(p.requires_grad for p in module.parameters())
        ]
        self.train(self.training)

    def weights_of(self, table: Table) -> Sequence[str]:
        """What names of weights begin with that are of a table's family; default: none."""
        return ()

    @abstractmethod
    def parameters_of(self, modality: str, z: Tensor, given: Mapping[str, Tensor]) -> Parameters:
        """Decode flat latents ``z`` (n, d) to the parameters of p(x_m | z[, given]), (n, …) each.

        Called by :meth:`likelihood`, perhaps under autocast; n counts items times samples.
        """

    @abstractmethod
    def supports(self, targets: Subset, given: Subset, proposal: Subset) -> str | None:
        """Why log p(targets | given) by samples of q(z | proposal) can't be had, or None.

        Called before a bound or a figure is computed, with modalities in the model's order, for
        the reason to be shown: a phrase. No tensors are touched.
        """

    def likelihood(
        self, modality: str, z: Tensor, given: Mapping[str, Tensor] | None = None
    ) -> Distribution:
        """p(x_m | z) with flat batch shape (n,) for latents ``z`` of shape (n, d), in float32.

        Fold sample dimensions with :func:`fold` first: codecs see flat batches only. A model
        changes its likelihoods in :meth:`parameters_of`, never here: figures that share samples
        of the prior between items decode those once.
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
            observed: Which of its cells are observed, or None if all are.
            given: Condition → its model input (n, event…), for conditional models.
            present: Which items have m, bool (n,), or None if all have. Nothing of the others
                reaches a gradient, which is 0 where no item has m.
        """
        codec = self.codecs[modality]
        if present is None:
            return codec.log_prob(self.likelihood(modality, z, given), x, observed)
        parameters = in_float32(self.parameters_of(modality, z, given or {}))
        likelihood = codec.likelihood(held_fixed(parameters, ~present))
        return torch.where(present, codec.log_prob(likelihood, x, observed), 0.0)


def held_fixed(parameters: Parameters, rows: Tensor) -> Parameters:
    """Parameters (n, …) whose gradient is 0 in some rows, bool (n,), whatever comes in there.

    A stand-in may lie outside the support, so that the slope of its density is no number.
    """
    if isinstance(parameters, Tensor):
        which = rows.view(-1, *[1] * (parameters.dim() - 1))
        return torch.where(which, parameters.detach(), parameters)
    return {name: held_fixed(value, rows) for name, value in parameters.items()}  # type: ignore[misc]


def in_float32(parameters: Parameters) -> Parameters:
    """Likelihood parameters in float32 at least, whatever autocast made of them."""
    if isinstance(parameters, Tensor):
        return parameters.float() if parameters.dtype.itemsize < 4 else parameters
    return {name: in_float32(value) for name, value in parameters.items()}  # type: ignore[misc]


def fold(z: Tensor) -> tuple[Tensor, torch.Size]:
    """Latents (…, d) → flat (n, d) and the leading shape, for :func:`unfold`."""
    return z.reshape(-1, z.shape[-1]), z.shape[:-1]


def unfold(values: Tensor, shape: torch.Size) -> Tensor:
    """Flat values (n, …) → (leading shape, …); undoes :func:`fold`."""
    return values.reshape(*shape, *values.shape[1:])
