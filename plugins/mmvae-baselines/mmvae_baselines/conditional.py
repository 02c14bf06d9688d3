"""The common base of CVAE and CMMA: p(x|w) of one target modality x given all the others, w.

Both have a posterior q(z|x, w) and are trained on a bound of log p(x|w); they differ in where w
enters: the decoder (CVAE) or the prior (CMMA).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from mmvae import (
    Activation,
    Batch,
    Codec,
    ConfigError,
    DiagonalGaussian,
    Fusion,
    ModelConfig,
    PosteriorNetwork,
    StepDraws,
    Terms,
    UsageError,
    Variance,
    VariationalModel,
    elbo,
    kl_divergence,
    nearest,
)

Subset = tuple[str, ...]


class ConditionalConfig(ModelConfig):
    """Keys of ``[model]`` that both models have."""

    target: str = Field(
        description="The modality x to model. All other modalities, w, are always observed."
    )
    latent_dim: int = Field(64, ge=1, description="Number of dimensions of the latent z.")
    fusion: Fusion = Field(
        "dense",
        description="'dense': a hidden layer over the concatenated features of an encoder's "
        "modalities. 'linear': the heads use the features directly.",
    )
    fusion_dim: int = Field(
        512,
        ge=1,
        description="Width of the hidden layer of 'dense' fusion.",
    )
    activation: Activation = Field(
        "relu",
        description="Activation of the hidden layer of 'dense' fusion.",
    )
    variance: Variance = Field(
        "exp", description="How a head computes σ²: exp of its output, or softplus."
    )

    @field_validator("target")
    @classmethod
    def _of_the_modalities(cls, target: str, info: ValidationInfo) -> str:
        if modalities := list((info.context or {}).get("modalities", [])):
            _check_target(target, modalities)
        return target


def _check_target(target: str, modalities: Sequence[str]) -> None:
    """Refuse a target that is not a modality or is the only one.

    Raises:
        ValueError: The message says what was expected.
    """
    if target not in modalities:
        raise ValueError(
            f"{target!r} is no modality, expected one of {', '.join(modalities)}."
            + nearest(target, modalities)
        )
    if len(modalities) == 1:
        raise ValueError(
            f"there is no modality other than {target!r} to condition on; add one, or train a "
            f"plain VAE "
            f"with model.kind = 'jmvae'."
        )


class ConditionalModel(VariationalModel):
    """p(x|w) = ∫ p(x|z, w) p(z|w) dz with a posterior q(z|x, w).

    Args:
        config: Its ``[model]`` section.
        codecs: Modality → fitted codec, in the order of the configuration.

    Raises:
        ConfigError: The target is none of the modalities, or the only one.
    """

    conditional = True

    def __init__(self, config: Any, codecs: Mapping[str, Codec]) -> None:
        super().__init__(config, codecs)
        self.target: str = config.target
        try:
            _check_target(self.target, self.modalities)
        except ValueError as error:
            raise ConfigError(f"model.target: {error}") from None
        self.conditions: Subset = tuple(m for m in self.modalities if m != self.target)
        self.encoder = self.network(self.modalities)

    def network(self, subset: Subset) -> PosteriorNetwork:
        """A diagonal Gaussian of z given a subset, with trunks of its own."""
        c, chosen = self.config, {m: self.codecs[m] for m in subset}
        return PosteriorNetwork(
            {m: codec.encoder() for m, codec in chosen.items()},
            {m: codec.feature_dim for m, codec in chosen.items()},
            c.latent_dim,
            c.fusion,
            c.fusion_dim,
            c.activation,
            c.variance,
        )

    @property
    def decoded(self) -> Subset:
        """The target only."""
        return (self.target,)

    @property
    def ability(self) -> str:
        """The abilities of this model, for messages."""
        return f"A {self.kind} models {self.target!r} given {_listed(self.conditions)}"

    def posterior(self, observed: Mapping[str, Tensor]) -> DiagonalGaussian:
        """q(z|x, w) of complete items; the prior p(z|w) if all but the target is given.

        Raises:
            UsageError: Another subset is given.
        """
        if set(observed) == set(self.modalities):
            posterior: DiagonalGaussian = self.encoder(observed)
            return posterior
        if set(observed) == set(self.conditions):
            return self.prior(observed, len(observed[self.conditions[0]]))
        raise UsageError(
            f"{self.ability}: it has a posterior of z given all of {', '.join(self.modalities)} "
            f"and a prior given {_listed(self.conditions)}, but nothing given "
            f"{_listed([m for m in self.modalities if m in observed]) or 'no modality'}."
        )

    @abstractmethod
    def prior(self, given: Mapping[str, Tensor], b: int) -> DiagonalGaussian:
        """p(z|w), batch shape (b,).

        Raises:
            UsageError: Not all of w is given.
        """

    def require(self, given: Mapping[str, Tensor]) -> None:
        """Check that the whole of w is given.

        Raises:
            UsageError: Names the missing modalities.
        """
        lacking = [m for m in self.conditions if m not in given]
        if lacking:
            raise UsageError(
                f"{self.ability}, but {_listed(lacking)} is not given. Give each of "
                f"{', '.join(self.conditions)}, on the command line with --given NAME=VALUE."
            )

    def require_target(self, modality: str) -> None:
        """Refuse to decode another modality than the target.

        Raises:
            UsageError: It is not the target.
        """
        if modality != self.target:
            raise UsageError(f"{self.ability}: it has no decoder for {modality!r}.")

    def supports(self, targets: Subset, given: Subset, proposal: Subset) -> str | None:
        """None for log p(x|w) by samples of q(z|x, w) or the prior, else the available queries."""
        w = set(self.conditions)
        fits = set(targets) == {self.target} and set(given) == w
        if fits and set(proposal) in (set(self.modalities), w):
            return None
        return (
            f"{self.ability}: it has log p({self.target} | {', '.join(self.conditions)}) by "
            f"samples of its joint posterior or of its prior, and no other likelihood."
        )

    def penalty(self, q: DiagonalGaussian) -> Tensor | None:
        """A further divergence that the loss adds, nats (b,); None for none."""
        return None

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """The loss on a batch with one sample of z per item; see :func:`conditional_terms`."""
        x, w = self.target, {m: batch.x[m] for m in self.conditions}
        q = self.posterior(batch.x)
        z = q.rsample(draws.normal("z", self.latent_dim))
        return conditional_terms(
            x,
            self.log_likelihood(x, z, batch.x[x], batch.observed[x], w),
            kl_divergence(q, self.prior(w, len(batch)), z),
            self.penalty(q),
            likelihood_weight=float(self.codecs[x].config.weight),
            beta=weight,
        )


def conditional_terms(
    target: str,
    log_likelihood: Tensor,
    kl: Tensor,
    penalty: Tensor | None = None,
    likelihood_weight: float = 1.0,
    beta: float = 1.0,
) -> Terms:
    r"""The loss of a conditional model and its named terms.

    .. math::
        L = \lambda\, E_{q(z|x,w)}[\log p(x|z,w)] - \beta\, KL(q(z|x,w) \| p(z|w))

    With a penalty, the warm-up weights the penalty, and the divergence from the prior counts in
    full from the first step on:

    .. math::
        L = \lambda\, E_{q(z|x,w)}[\log p(x|z,w)] - KL(q(z|x,w) \| p(z|w))
            - \beta\, \mathrm{penalty}

    Args:
        target: Name of x.
        log_likelihood: log p(x|z, w) at a sample of q, nats, (b,).
        kl: KL(q(z|x, w) ‖ p(z|w)), nats, (b,).
        penalty: The further divergence, nats, (b,).
        likelihood_weight: λ.
        beta: Warm-up weight β.

    Returns:
        ``loss`` = −L and ``log_likelihood/x``, ``kl``, ``penalty`` if there is one, and ``elbo``
        (λ = β = 1, no penalty), which is a lower bound of log p(x|w); each (b,).
    """
    likelihoods, weights = {target: log_likelihood}, {target: likelihood_weight}
    if penalty is None:
        return elbo(likelihoods, kl, weights, beta)
    bound = dict(elbo(likelihoods, kl).named)
    named = {"penalty": penalty, "elbo": bound.pop("elbo")}
    return Terms(kl + beta * penalty - likelihood_weight * log_likelihood, bound | named)


def _listed(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)
