"""Bernoulli image: each pixel is on with its own probability.

p(x|z) = Π_i π_i(z)^x_i (1 − π_i(z))^(1 − x_i), from logits.

Suzuki, Nakayama and Matsuo (2016, arXiv:1611.01891) use it for MNIST, with pixels drawn afresh
every epoch and dense layers in encoder and decoder. Grey pixels that should stay grey use the
continuous Bernoulli (:class:`mmvae.ContinuousBernoulliLikelihood`), a density on [0, 1]. Its
logits are bounded, because a pixel that is always exactly 0 has an unbounded density.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from mmvae import (
    BernoulliLikelihood,
    Column,
    ContinuousBernoulliLikelihood,
    DecoderWidths,
    DenseActivation,
    EncoderWidths,
    Examples,
    Likelihood,
    draw_bernoulli,
    mlp,
)
from mmvae_images.examples import pictures
from mmvae_images.image import ImageCodec, ImageConfig

_ROWS = 1024  # number of pictures binarised at once: limits the memory of 64-bit noise
_BOUND = 255.0  # logits whose means are one level of 8 bits from black and white


class BernoulliImageConfig(ImageConfig):
    """Keys of ``codec = "bernoulli-image"``."""

    likelihood: Literal["bernoulli", "continuous-bernoulli"] = Field(
        "bernoulli",
        description="'bernoulli': black and white pixels. 'continuous-bernoulli': grey pixels in "
        "[0, 1], which are never binarised.",
    )
    logit_bound: float = Field(
        _BOUND,
        ge=10,
        allow_inf_nan=False,
        description="Bound on the absolute value of a logit of the continuous Bernoulli, applied "
        "smoothly. A mean is at least 1 / logit_bound from 0 and 1; 255 is the resolution of 8 "
        "bits. Log-likelihoods depend on this value.",
    )
    binarise: Literal["resample", "once", "threshold"] = Field(
        "resample",
        description="How grey pixels become black or white. 'resample': sampled again for every "
        "training batch. 'once': sampled once with binarise_seed. 'threshold': rounded at one "
        "half.",
    )
    binarise_seed: int = Field(0, ge=0, description="Seed of binarise = 'once'.")
    encoder: EncoderWidths = (512, 512)
    decoder: DecoderWidths = (512, 512, 512)
    activation: DenseActivation = "leaky-relu"

    @model_validator(mode="after")
    def _grey_stays_grey(self) -> BernoulliImageConfig:
        if self.likelihood == "continuous-bernoulli" and self.binarise != "resample":
            raise ValueError(
                f"binarise = '{self.binarise}' has no effect with likelihood = "
                f"'continuous-bernoulli'; leave one of the two out"
            )
        if self.likelihood == "bernoulli" and self.logit_bound != _BOUND:
            raise ValueError(
                f"logit_bound = {self.logit_bound:g} has no effect with likelihood = 'bernoulli'; "
                f"leave it out, or set likelihood = 'continuous-bernoulli'"
            )
        return self


class BernoulliImage(ImageCodec):
    """Binary pixels with grey levels as probabilities; or grey pixels, unchanged."""

    kind = "bernoulli-image"
    Config = BernoulliImageConfig

    @property
    def feature_dim(self) -> int:
        """Width of the last dense layer."""
        return int((self.event_size, *self.config.encoder)[-1])

    @property
    def grey(self) -> bool:
        """True if pixels stay grey."""
        return bool(self.config.likelihood == "continuous-bernoulli")

    @property
    def density(self) -> str | None:
        """See :attr:`mmvae.Codec.density`; binary pixels have probabilities."""
        bound = self.config.logit_bound
        return f"grey levels in [0, 1], logits within ±{bound:g}" if self.grey else None

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """See :class:`ImageCodec`; ``once`` and ``threshold`` give black and white pixels only."""
        x, observed = super().prepare(column)
        if self.config.binarise == "resample":
            return x, observed
        white = 255 if x.dtype == torch.uint8 else 1
        if self.config.binarise == "threshold":
            return (2 * x.float() >= white).to(x.dtype) * white, observed
        drawn = draw_once(x.numpy(), self.config.binarise_seed)
        return torch.from_numpy(drawn).to(x.dtype) * white, observed

    def resample(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Fresh binary pixels x_i ~ Bernoulli(grey_i); binary or grey pixels stay unchanged."""
        if self.grey or self.config.binarise != "resample":
            return x
        return draw_bernoulli(x, generator)

    def fixed(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """The pixels for validation and test: binary, unless they stay grey.

        Binary pictures are unchanged. A model's grey means become binary in the same way as the
        data: drawn with their level as probability, which is a draw of p(x|z), or thresholded at
        one half.
        """
        if self.grey or (self.config.binarise != "resample" and bool(((x == 0) | (x == 1)).all())):
            return x
        if self.config.binarise == "threshold":
            return (2 * x >= 1).to(x)
        return draw_bernoulli(x, generator)

    def encoder(self) -> nn.Module:
        """Flatten, then dense layers."""
        layers = mlp(self.event_size, self.config.encoder, self.config.activation)
        return nn.Sequential(nn.Flatten(), *layers)

    def decoder(self, input_dim: int) -> nn.Module:
        """Dense layers, then the logits of the pixels."""
        layers = mlp(input_dim, self.config.decoder, self.config.activation, self.event_size)
        return nn.Sequential(*layers, nn.Unflatten(1, self.event_shape))

    @property
    def likelihood_family(self) -> Likelihood:
        """Independent pixels from logits (b, event…), bounded where pixels stay grey."""
        if self.grey:
            return ContinuousBernoulliLikelihood(self.config.logit_bound)
        return BernoulliLikelihood()

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples:
        """Pictures of four grey pixels; in black and white there are sixteen."""
        binary = (keys or {}).get("likelihood", "bernoulli") == "bernoulli"
        values = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
        small = {"encoder": (8,), "decoder": (8,)}
        return pictures((2, 2), small, values.reshape(-1, 1, 2, 2) if binary else None)


def draw_once(pixels: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
    """Draw each pixel with its grey level as probability: a pure function of picture and seed.

    The result depends neither on the order of pictures nor on their batch, so that streamed and
    resident data agree.

    Args:
        pixels: uint8 0..255 or float32 [0, 1], shape (n, …).
        seed: Another seed gives another draw.

    Returns:
        bool of the same shape.
    """
    white = 255 if pixels.dtype == np.uint8 else 1
    flat = pixels.reshape(len(pixels), -1)
    words = np.random.default_rng(seed).integers(2**64, size=(2, flat.shape[1]), dtype=np.uint64)
    drawn = np.empty(flat.shape, bool)
    for start in range(0, len(flat), _ROWS):
        grey = flat[start : start + _ROWS] / np.float64(white)
        key = ((grey * 2**32).astype(np.uint64) * (words[0] | 1)).sum(1, keepdims=True)
        noise = _mixed(_mixed(key) + words[1])
        drawn[start : start + _ROWS] = (noise >> np.uint64(11)) * 2.0**-53 < grey
    return drawn.reshape(pixels.shape)


def _mixed(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): every bit depends on every other.
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    mixed: np.ndarray[Any, Any] = x ^ (x >> np.uint64(31))
    return mixed
