"""The paper's MNIST model as one would write it by hand for speed: nothing of mmvae is used.

JMVAE-kl over a 28x28 binary image and a label of ten classes: joint encoder, two single encoders
and two decoders of dense layers, resident tensors, fused Adam.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PIXELS, CLASSES, WIDTH, LATENT = 784, 10, 512, 64


def dense(*widths: int) -> nn.Sequential:
    """Dense layers, each followed by a leaky rectifier."""
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(a, b), nn.LeakyReLU()]
    return nn.Sequential(*layers)


def kl(mean_q: Tensor, log_var_q: Tensor, mean_p: Tensor, log_var_p: Tensor) -> Tensor:
    """KL of two diagonal Gaussians, summed over the latent and the batch."""
    d = log_var_q - log_var_p
    return 0.5 * (d.exp() - 1 - d + (mean_q - mean_p).square() * (-log_var_p).exp()).sum()


class HandWritten(nn.Module):
    """JMVAE-kl for image and label.

    Args:
        alpha: Weight of the penalty for each of the two single encoders.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.joint_image = dense(PIXELS, WIDTH, WIDTH)
        self.joint_label = dense(CLASSES, WIDTH, WIDTH)
        self.joint_head = nn.Linear(2 * WIDTH, 2 * LATENT)
        self.image = nn.Sequential(*dense(PIXELS, WIDTH, WIDTH), nn.Linear(WIDTH, 2 * LATENT))
        self.label = nn.Sequential(*dense(CLASSES, WIDTH, WIDTH), nn.Linear(WIDTH, 2 * LATENT))
        self.to_image = nn.Sequential(
            *dense(LATENT, WIDTH, WIDTH, WIDTH), nn.Linear(WIDTH, PIXELS)
        )
        self.to_label = nn.Sequential(
            *dense(LATENT, WIDTH, WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES)
        )

    def loss(self, x: Tensor, w: Tensor, noise: Tensor, beta: float) -> Tensor:
        """−L per item (Eqs. 3 and 4 of the paper)."""
        h = torch.cat([self.joint_image(x), self.joint_label(w)], 1)
        mean, log_var = self.joint_head(h).chunk(2, 1)
        z = mean + (0.5 * log_var).exp() * noise
        reconstruction = -F.binary_cross_entropy_with_logits(self.to_image(z), x, reduction="sum")
        reconstruction = reconstruction + (w * F.log_softmax(self.to_label(z), 1)).sum()
        zero = torch.zeros_like(mean)
        prior = kl(mean, log_var, zero, zero)
        penalty = kl(mean, log_var, *self.image(x).chunk(2, 1))
        penalty = penalty + kl(mean, log_var, *self.label(w).chunk(2, 1))
        return (beta * prior + self.alpha * penalty - reconstruction) / len(x)


class HandWrittenLoop:
    """Trains it on resident tensors.

    Args:
        images: Pixels as uint8, shape (n, 784).
        labels: Classes, int64, shape (n,).
        model: The model.
        learning_rate: Of Adam.
        batch_size: Items per step.
    """

    def __init__(
        self,
        images: Tensor,
        labels: Tensor,
        model: HandWritten,
        learning_rate: float,
        batch_size: int,
    ) -> None:
        self.images, self.networks, self.batch_size = images, model, batch_size
        self.labels = F.one_hot(labels, CLASSES).float()
        self.adam = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
        self.order = torch.randperm(len(images))

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Binarised images, labels and noise of a step."""
        per_epoch = len(self.images) // self.batch_size
        if step % per_epoch == 0:
            self.order = torch.randperm(len(self.images))
        start = step % per_epoch * self.batch_size
        rows = self.order[start : start + self.batch_size]
        x = torch.bernoulli(self.images[rows].float() / 255)
        return x, self.labels[rows], torch.randn(len(rows), LATENT)

    def step(
        self,
        step: int,
        beta: float,
        batch: Callable[[int], tuple[Tensor, Tensor, Tensor]] | None = None,
    ) -> Tensor:
        """One update; returns the loss, detached."""
        x, w, noise = (batch or self.batch)(step)
        self.adam.zero_grad(set_to_none=True)
        loss = self.networks.loss(x, w, noise, beta)
        loss.backward()
        self.adam.step()
        return loss.detach()
