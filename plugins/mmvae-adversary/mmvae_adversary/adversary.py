"""The adversary: a critic for a model, and three alternating updates of disjoint parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae import Batch, ConfigError, Extension, Model, Phase, StepDraws, Terms, Trainable
from mmvae_adversary.config import AdversaryConfig
from mmvae_adversary.critic import Critic, accuracy, critic_loss, decoder_loss

CRITIC, DECODER = "critic", "decoder"


class Adversary(Extension):
    """Trains the decoder of one modality x against a critic D.

    With x̂ the decoder's mean at a sample of q(z|x_M), and x_p at z ~ U(−1, 1), each step

    * updates the critic by −log D(x) − log(1 − D(x̂)) − log(1 − D(x_p));
    * updates the decoder of x by −γ log p(x|z) − w (log D(x̂) + log D(x_p));
    * updates all other parameters by the inner model's bound.

    Args:
        config: Its table.
        inner: The model.

    Raises:
        ConfigError: The model has no decoder for the modality, or one without a gradient.
    """

    kind = "adversary"
    Config = AdversaryConfig
    config: AdversaryConfig

    def __init__(self, config: AdversaryConfig, inner: Trainable) -> None:
        super().__init__(config, inner)
        self.modality = config.modality
        self._epoch = 0
        self._decoded: tuple[Batch, Distribution, Distribution] | None = None
        if self.modality not in self.bare.decoded:
            raise ConfigError(
                f"adversary.modality = {self.modality!r}: the {self.bare.kind} has no decoder for "
                f"it; expected one of {', '.join(self.bare.decoded)}."
            )
        self.decoder_weights = decoder_weights(self.bare, self.modality)
        self.critic = Critic(self.bare.codecs[self.modality])

    # -- the phases ----------------------------------------------------------------------------

    def phases(self) -> list[Phase]:
        """Critic, decoder, and the inner phases with the remaining parameters."""
        rate = self.config.learning_rate
        critic_rate = self.config.critic_learning_rate or rate
        critics = [p for p in self.critic.parameters() if p.requires_grad]
        taken = {id(p) for p in self.decoder_weights}
        rest = [
            Phase(
                phase.name,
                [p for p in phase.parameters if id(p) not in taken],
                phase.settings,
                phase.first_epoch,
            )
            for phase in self.inner.phases()
        ]
        return [
            Phase(CRITIC, critics, self._settings(critic_rate), self.config.start_epoch - 1),
            Phase(DECODER, self.decoder_weights, self._settings(rate)),
            *rest,
        ]

    def _settings(self, learning_rate: float) -> dict[str, Any]:
        return {
            "optimizer": "adam",
            "learning_rate": learning_rate,
            "betas": self.config.betas,
            "eps": self.config.eps,
            "weight_decay": 0.0,
            "clip_norm": self.config.clip_norm,
            "clip_value": None,
        }

    def begin_step(self, epoch: int) -> None:
        """Record the epoch, for ``start_epoch``."""
        self._epoch = epoch
        super().begin_step(epoch)

    @property
    def started(self) -> bool:
        """True once the critic is active."""
        return bool(self._epoch + 1 >= self.config.start_epoch)

    @property
    def together(self) -> bool:
        """True if the three updates compute their gradients at the same weights."""
        return self.config.updates == "together" or self.inner.together

    def compilable(self) -> Iterable[nn.Module]:
        """The critic's trunk, and the networks of the inner model."""
        return [self.critic.trunk, *self.inner.compilable()]

    # -- the losses ----------------------------------------------------------------------------

    def objective(self, phase: str, batch: Batch, draws: StepDraws, weight: float) -> Terms:
        """The loss of a phase and its terms.

        The critic's: ``accuracy``, see :func:`mmvae_adversary.critic.accuracy`. The decoder's:
        ``error``, and ``adversarial``, −log D(x̂) − log D(x_p), both unweighted.
        """
        if phase == CRITIC:
            return self._critic_terms(batch, draws)
        if phase == DECODER:
            return self._decoder_terms(batch, draws)
        return self.inner.objective(phase, batch, draws, weight)

    def _critic_terms(self, batch: Batch, draws: StepDraws) -> Terms:
        with learning(self.decoder_weights):
            prediction, prior_sample = self._decode(batch, draws)
        self._decoded = batch, prediction, prior_sample
        seen = {
            "x": batch.x[self.modality],
            "x̂": self._mean(prediction, batch).detach(),
            "x_p": self._mean(prior_sample, batch).detach(),
        }
        logits = [self.critic(self._noisy(x, draws, f"critic {k}")) for k, x in seen.items()]
        return Terms(critic_loss(*logits), {"accuracy": accuracy(*logits).detach()})

    def _decoder_terms(self, batch: Batch, draws: StepDraws) -> Terms:
        likelihood, free = self._decoded_before(batch) or self._decode(batch, draws)
        prediction = self._mean(likelihood, batch)
        if self.config.error == "features" and self.started:
            error = self._feature_error(batch, prediction)
        else:
            codec, m = self.bare.codecs[self.modality], self.modality
            error = -codec.log_prob(likelihood, batch.x[m], batch.observed[m])
        loss, named = self.config.error_weight * error, {"error": error.detach()}
        if self.started:
            prior_sample = self._mean(free, batch)
            adversarial = decoder_loss(
                self.critic(self._noisy(prediction, draws, "decoder x̂")),
                self.critic(self._noisy(prior_sample, draws, "decoder x_p")),
            )
            loss = loss + self.config.weight * adversarial
            named["adversarial"] = adversarial.detach()
        return Terms(loss, named)

    def _decode(self, batch: Batch, draws: StepDraws) -> tuple[Distribution, Distribution]:
        """p(x|z) whose means are x̂ and, once the critic is active, x_p; no gradient reaches z."""
        with torch.no_grad():
            z, free = self._posterior_sample(batch, draws), self._free_sample(batch, draws)
        prediction = self._likelihood(batch, z)
        return prediction, self._likelihood(batch, free) if self.started else prediction

    def _decoded_before(self, batch: Batch) -> tuple[Distribution, Distribution] | None:
        """The decoded values of this batch from the critic's update, still valid after it."""
        before, self._decoded = self._decoded, None
        return before[1:] if before is not None and before[0] is batch else None

    def _feature_error(self, batch: Batch, prediction: Tensor) -> Tensor:
        """½ |f(x) − f(x̂)|² with f the critic's features, (b,)."""
        with torch.no_grad():
            truth = self.critic.features(batch.x[self.modality])
        return 0.5 * (self.critic.features(prediction) - truth).square().sum(1)

    # -- the critic's input --------------------------------------------------------------------

    def _posterior_sample(self, batch: Batch, draws: StepDraws) -> Tensor:
        """Z ~ q(z|x_M), with the same noise as the model's own bound."""
        noise = draws.normal("z", self.bare.latent_dim)
        return self.bare.posterior(batch.x).rsample(noise)

    def _free_sample(self, batch: Batch, draws: StepDraws) -> Tensor:
        """Z ~ U(−1, 1), or a sample of the prior."""
        noise = draws.normal("x_p", self.bare.latent_dim)
        if self.config.latents == "prior":
            return self.bare.prior(given(self.bare, batch.x), len(batch)).rsample(noise)
        return torch.erf(noise / math.sqrt(2.0))  # 2 Φ(ε) − 1

    def _likelihood(self, batch: Batch, z: Tensor) -> Distribution:
        """p(x|z[, w]), with w the batch's conditions of a conditional model."""
        return self.bare.likelihood(self.modality, z, given(self.bare, batch.x))

    def _mean(self, likelihood: Distribution, batch: Batch) -> Tensor:
        """The mean of x, (b, event…), with missing cells as in the item."""
        mean = self.bare.codecs[self.modality].point(likelihood)
        observed = batch.observed[self.modality]
        if observed is None:
            return mean
        return torch.where(observed, mean, batch.x[self.modality])  # else they give it away

    def _noisy(self, x: Tensor, draws: StepDraws, name: str) -> Tensor:
        """The critic's input for x (b, event…), with noise."""
        if self.config.noise == 0:
            return x
        noisy: Tensor = x + self.config.noise * draws.normal(name, *x.shape[1:])
        return noisy


@contextmanager
def learning(weights: Iterable[nn.Parameter]) -> Iterator[None]:
    """Let gradients of the block's computations reach these weights, in any phase."""
    fixed = [p for p in weights if not p.requires_grad]
    for p in fixed:
        p.requires_grad_(True)
    try:
        yield
    finally:
        for p in fixed:
            p.requires_grad_(False)


def given(model: Model, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The modalities without a decoder, which are always given to a conditional model."""
    return {m: value for m, value in x.items() if m not in model.decoded}


def decoder_weights(model: Model, modality: str) -> list[nn.Parameter]:
    """The weights that the decoder of a modality uses, found for any model.

    They are those for which the parameters of its likelihood have a gradient.

    Raises:
        ConfigError: The codec's point has no gradient, so that a critic cannot train the decoder,
            or all of the weights are frozen.
    """
    training = model.training
    model.eval()
    blank = {m: codec.missing(2) for m, codec in model.codecs.items()}
    with torch.enable_grad():
        z = torch.zeros(2, model.latent_dim)
        parameters = model.parameters_of(modality, z, given(model, blank))
        codec = model.codecs[modality]
        value = codec.point(codec.likelihood(parameters))
    model.train(training)
    if not value.requires_grad and not all(p.requires_grad for p in model.parameters()):
        raise ConfigError(
            f"adversary.modality = {modality!r}: train.freeze contains all weights that a critic "
            f"could train. Leave its decoder out of train.freeze, or the table [adversary]."
        )
    if not value.requires_grad:
        raise ConfigError(
            f"adversary.modality = {modality!r}: codec {codec.kind!r} decodes to a value without "
            f"gradient, such as a class, so a critic cannot train its decoder. Name an image "
            f"modality."
        )
    outputs = [parameters] if isinstance(parameters, Tensor) else list(parameters.values())
    weights = [p for p in model.parameters() if p.requires_grad]
    reached = torch.autograd.grad([o.sum() for o in outputs], weights, allow_unused=True)
    return [p for p, gradient in zip(weights, reached, strict=True) if gradient is not None]
