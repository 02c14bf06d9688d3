"""The JMVAE of small faces as one would write it by hand for speed: nothing of mmvae is used.

JMVAE-kl over a picture and attributes of ±1: convolutions and dense layers, resident tensors,
fused Adam; and the same with an adversary, in three updates a step that compute nothing twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from handwritten import kl
from torch import Tensor, nn
from torch.nn import functional as F

Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class Sizes:
    """Of the networks.

    Attributes:
        picture: Channels, height, width.
        attributes: How many.
        latent: Dimensions of z.
        convolutions: Channels of the stride-2 convolutions.
        dense: Width of the dense layer after them.
        grouped: Whether group norm follows each convolution.
        encoder: Widths of the attributes' encoder.
        decoder: Widths of their decoder.
        fusion: Width of the layer before each posterior's head.
    """

    picture: tuple[int, int, int]
    attributes: int
    latent: int
    convolutions: tuple[int, ...]
    dense: int
    grouped: bool
    encoder: tuple[int, ...]
    decoder: tuple[int, ...]
    fusion: int

    @property
    def map(self) -> tuple[int, int, int]:
        """The smallest map: channels, height, width."""
        depth = len(self.convolutions)
        return self.convolutions[-1], self.picture[1] >> depth, self.picture[2] >> depth


@dataclass(frozen=True)
class Weights:
    """Of the terms of the loss; ``variance`` is that of the pixels."""

    alpha: float
    image: float
    attributes: float
    variance: float


def dense(*widths: int) -> nn.Sequential:
    """Dense layers, each followed by a rectifier."""
    pairs = zip(widths, widths[1:], strict=False)
    return nn.Sequential(
        *(layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU(inplace=True)))
    )


def normed(width: int, grouped: bool) -> list[nn.Module]:
    """Group norm, if wanted."""
    return [nn.GroupNorm(math.gcd(8, width), width)] if grouped else []


def convolutions(sizes: Sizes, grouped: bool, rectifier: Callable[[], nn.Module]) -> nn.Sequential:
    """Picture → features."""
    layers: list[nn.Module] = []
    widths = (sizes.picture[0], *sizes.convolutions)
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(a, b, 4, 2, 1), *normed(b, grouped), rectifier()]
    layers += [nn.Flatten(), nn.Linear(math.prod(sizes.map), sizes.dense), rectifier()]
    return nn.Sequential(*layers)


def deconvolutions(sizes: Sizes) -> nn.Sequential:
    """Latent → mean of the picture."""
    widths = sizes.convolutions[::-1]
    layers: list[nn.Module] = [
        nn.Linear(sizes.latent, math.prod(sizes.map)),
        nn.Unflatten(1, sizes.map),
        *normed(widths[0], sizes.grouped),
        nn.ReLU(inplace=True),
    ]
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.ConvTranspose2d(a, b, 4, 2, 1), *normed(b, sizes.grouped)]
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.ConvTranspose2d(widths[-1], sizes.picture[0], 4, 2, 1))
    return nn.Sequential(*layers)


def attributes_encoder(sizes: Sizes) -> nn.Sequential:
    """Attributes → features."""
    return dense(sizes.attributes, *sizes.encoder)


class HandWrittenFaces(nn.Module):
    """JMVAE-kl for picture and attributes; losses are sums over the batch.

    Args:
        sizes: Of the networks.
        weights: Of the terms.
    """

    def __init__(self, sizes: Sizes, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        image, attributes, latent = sizes.dense, sizes.encoder[-1], sizes.latent

        def picture() -> nn.Sequential:
            return convolutions(sizes, sizes.grouped, lambda: nn.ReLU(inplace=True))

        def head(width: int) -> nn.Sequential:
            return nn.Sequential(dense(width, sizes.fusion), nn.Linear(sizes.fusion, 2 * latent))

        self.joint_image, self.joint_attributes = picture(), attributes_encoder(sizes)
        self.joint_head = head(image + attributes)
        self.image = nn.Sequential(picture(), head(image))
        self.attributes = nn.Sequential(attributes_encoder(sizes), head(attributes))
        self.to_image = deconvolutions(sizes)
        self.to_attributes = nn.Sequential(
            dense(latent, *sizes.decoder), nn.Linear(sizes.decoder[-1], sizes.attributes)
        )

    def joint(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log σ² of q(z|x, w)."""
        features = torch.cat([self.joint_image(x), self.joint_attributes(w)], 1)
        mean, log_var = self.joint_head(features).chunk(2, 1)
        return mean, log_var

    def error(self, mean: Tensor, x: Tensor) -> Tensor:
        """−log p(x|z)."""
        variance = self.weights.variance
        constant = 0.5 * x.numel() * math.log(2 * math.pi * variance)
        return F.mse_loss(mean, x, reduction="sum") / (2 * variance) + constant

    def rest(
        self, q: tuple[Tensor, Tensor], x: Tensor, w: Tensor, z: Tensor, beta: float
    ) -> Tensor:
        """−L but for the picture's error (Eqs. 3 and 4 of the paper)."""
        error = -F.logsigmoid(w * self.to_attributes(z)).sum()
        zero = torch.zeros_like(z)
        penalty = kl(*q, *self.image(x).chunk(2, 1)) + kl(*q, *self.attributes(w).chunk(2, 1))
        weights = self.weights
        return weights.attributes * error + beta * kl(*q, zero, zero) + weights.alpha * penalty


@dataclass(frozen=True)
class Optimiser:
    """What Adam needs to know."""

    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def adam(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
        """Fused Adam for these."""
        return torch.optim.Adam(
            parameters, lr=self.learning_rate, betas=self.betas, eps=self.eps, fused=True
        )


class FacesLoop:
    """Trains the model on resident tensors.

    Args:
        images: Pixels as uint8, shape (n, 3, height, width).
        attributes: ±1 as int8, shape (n, attributes).
        model: The model.
        optimiser: Of its parameters.
        batch_size: Items per step.
    """

    def __init__(
        self,
        images: Tensor,
        attributes: Tensor,
        model: HandWrittenFaces,
        optimiser: Optimiser,
        batch_size: int,
    ) -> None:
        self.images, self.attributes, self.model = images, attributes, model
        self.networks: nn.Module = model
        self.batch_size = batch_size
        self.latent = model.to_attributes[0][0].in_features
        self.adam = optimiser.adam(model.parameters())
        self.order = torch.randperm(len(images))

    def batch(self, step: int) -> Batch:
        """Pictures, attributes, noise of z."""
        per_epoch = len(self.images) // self.batch_size
        if step % per_epoch == 0:
            self.order = torch.randperm(len(self.images))
        start = step % per_epoch * self.batch_size
        rows = self.order[start : start + self.batch_size]
        x, w = self.images[rows].float() / 255, self.attributes[rows].float()
        return x, w, torch.randn(len(rows), self.latent)

    def step(self, step: int, beta: float, batch: Callable[[int], Batch] | None = None) -> Tensor:
        """One update; returns the loss, detached."""
        x, w, noise = (batch or self.batch)(step)
        model = self.model
        mean, log_var = model.joint(x, w)
        z = mean + (0.5 * log_var).exp() * noise
        error = model.weights.image * model.error(model.to_image(z), x)
        loss = (error + model.rest((mean, log_var), x, w, z, beta)) / len(x)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        return loss.detach()


class Critic(nn.Module):
    """Logit of D(x): the encoder's layers with leaky rectifiers and no norm."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.trunk = convolutions(sizes, False, lambda: nn.LeakyReLU(inplace=True))
        self.logit = nn.Linear(sizes.dense, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures → logits (b,)."""
        return self.logit(self.trunk(x)).squeeze(1)


class AdversarialLoop(FacesLoop):
    """Trains the model against a critic: critic, picture's decoder, all the rest, in turn.

    z, x̂ and x_p are computed once: the critic's update changes neither encoders nor decoder, and
    the decoder's no encoder.

    Args:
        critic: The critic.
        adversary: The optimiser of critic and decoder.
    """

    def __init__(
        self,
        images: Tensor,
        attributes: Tensor,
        model: HandWrittenFaces,
        optimiser: Optimiser,
        batch_size: int,
        critic: Critic,
        adversary: Optimiser,
    ) -> None:
        super().__init__(images, attributes, model, optimiser, batch_size)
        self.critic = critic
        self.networks = nn.ModuleList([model, critic])
        self.decoder = list(model.to_image.parameters())
        owned = {id(p) for p in self.decoder}
        self.others = [p for p in model.parameters() if id(p) not in owned]
        self.adam = optimiser.adam(self.others)
        self.adam_decoder = adversary.adam(self.decoder)
        self.adam_critic = adversary.adam(critic.parameters())

    def batch(self, step: int) -> Batch:
        """Pictures, attributes, noise of z, and z of x_p."""
        x, w, noise = super().batch(step)
        return x, w, noise, 2 * torch.rand_like(noise) - 1

    def step(self, step: int, beta: float, batch: Callable[[int], Batch] | None = None) -> Tensor:
        """Three updates; returns their losses, detached."""
        x, w, noise, free = (batch or self.batch)(step)
        model, n = self.model, len(x)
        mean, log_var = model.joint(x, w)
        z = mean + (0.5 * log_var).exp() * noise
        decoded = model.to_image(torch.cat([z.detach(), free]))

        logits = self.critic(torch.cat([x, decoded.detach()]))
        critic_loss = (F.softplus(-logits[:n]).sum() + F.softplus(logits[n:]).sum()) / n
        self.update(self.adam_critic, critic_loss)

        error = model.error(decoded[:n], x)
        decoder_loss = (error + F.softplus(-self.critic(decoded)).sum()) / n
        self.update(self.adam_decoder, decoder_loss)

        error = model.weights.image * model.error(model.to_image(z), x)
        loss = (error + model.rest((mean, log_var), x, w, z, beta)) / n
        self.update(self.adam, loss)
        return torch.stack([critic_loss, decoder_loss, loss]).detach()

    @staticmethod
    def update(adam: torch.optim.Adam, loss: Tensor) -> None:
        """Move this optimiser's parameters, with no gradient for any other."""
        adam.zero_grad(set_to_none=True)
        loss.backward(inputs=adam.param_groups[0]["params"])
        adam.step()
