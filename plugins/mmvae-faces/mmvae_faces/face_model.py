"""A model of pictures and their signed attributes: queries for the paper's figures of faces.

Suzuki, Nakayama and Matsuo (2016, arXiv:1611.01891), Figs. 1, 4 and 5. Let x be a picture and w
its attributes. All decoded values are best values of decoders, at z drawn from a posterior or at
its point estimate. Any model of mmvae with the needed posteriors and decoders will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from mmvae_attributes import SignedAttributes
from PIL import Image
from torch import Tensor

from mmvae import Codec, TrainedModel, UsageError, nearest, require_finite
from mmvae.foundations.randomness import generator


@dataclass(frozen=True)
class FaceModel:
    """A trained model and the two of its modalities that figures of faces use.

    Attributes:
        trained: The model.
        image: The modality that is a picture, x.
        attributes: The modality of signed attributes, w.
    """

    trained: TrainedModel
    image: str
    attributes: str

    @classmethod
    def of(
        cls, trained: TrainedModel, image: str | None = None, attributes: str | None = None
    ) -> FaceModel:
        """The model with these modalities, or with the first that fit.

        Raises:
            UsageError: It has no such modality.
        """
        picture = _chosen(trained, image, "a picture", "--image", shows_pictures)
        signed = _chosen(trained, attributes, "signed attributes", "--attributes", holds_signs)
        return cls(trained, picture, signed)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attributes in the order of their values."""
        codec = self.trained.codecs[self.attributes]
        assert isinstance(codec, SignedAttributes)
        return codec.names

    def read(self, x: Tensor) -> Tensor:
        """Predict the attributes of pictures (b, c, h, w): real values, about −1 to 1, (b, a)."""
        return self._best(self.image, x, self.attributes)

    def reconstructed(self, x: Tensor) -> Tensor:
        """Reconstruct pictures (b, c, h, w), given the pictures only."""
        return self._best(self.image, x, self.image)

    def average(self, w: Tensor) -> Tensor:
        """The average faces x_mean of attributes (b, a): at the point estimate of q(z|w)."""
        return self._best(self.attributes, w, self.image)

    def random(self, w: Tensor, noise: Tensor) -> Tensor:
        """Faces for attributes (b, a), one per row of noise (b, d): see :func:`face_noise`."""
        return self._best(self.attributes, w, self.image, noise)

    def latents(self, w: Tensor, noise: Tensor) -> Tensor:
        """Samples of q(z|w) for attributes (b, a) and noise (b, d), on the CPU.

        Raises:
            TrainingError: A value is not finite.
        """
        with torch.no_grad():
            given = {self.attributes: w.to(self.trained.device)}
            z = self.trained.model.posterior(given).rsample(noise.to(self.trained.device))
            require_finite(self.trained.model, self.attributes, "the latent z", z)
            return z.cpu()

    def changed(self, x: Tensor, w: Tensor, w_changed: Tensor) -> Tensor:
        """A picture with other attributes: x + x'_mean − x_mean, (b, c, h, w).

        The difference of the two average faces is added to the picture itself, so that everything
        that attributes do not describe is unchanged (the paper's Fig. 5).
        """
        return x + (self.average(w_changed) - self.average(w))

    def _best(self, given: str, value: Tensor, target: str, noise: Tensor | None = None) -> Tensor:
        model, device = self.trained.model, self.trained.device
        if target not in model.decoded:
            raise UsageError(
                f"its {model.kind} has no decoder for {target!r}; it decodes "
                f"{', '.join(model.decoded)}."
            )
        known = {given: value.to(device)}
        with torch.no_grad():
            q = model.posterior(known)
            z = q.point() if noise is None else q.rsample(noise.to(device))
            return self.trained.decode(target, z, given=known)


def face_noise(count: int, latent_dim: int, variance: float, seed: int) -> Tensor:
    """Noise for random faces, (count, d): √ζ·ε, so that z = μ + √ζ σ ε has variance ζ σ².

    Args:
        count: Number of faces.
        latent_dim: d.
        variance: ζ, 0.6 in the paper; 1 draws from the posterior itself.
        seed: Governs ε; it depends on nothing else, so faces of other attributes share it.
    """
    drawn = torch.randn(count, latent_dim, generator=generator(seed, "faces", "noise"))
    return math.sqrt(variance) * drawn


def random_base(count: int, seed: int) -> Tensor:
    """Random attributes of ±1, each sign equally likely, (1, count): the paper's *Base*."""
    signs = torch.randint(0, 2, (1, count), generator=generator(seed, "faces", "base"))
    return 2.0 * signs - 1.0


def shows_pictures(codec: Codec) -> bool:
    """True if a codec's values are shown as pictures."""
    return isinstance(codec.show(codec.missing(1))[0], Image.Image)


def holds_signs(codec: Codec) -> bool:
    """True if a codec's values are named attributes of ±1."""
    return isinstance(codec, SignedAttributes)


def _chosen(
    trained: TrainedModel, named: str | None, what: str, option: str, fits: Callable[[Codec], bool]
) -> str:
    if named is not None and named not in trained.modalities:
        raise UsageError(
            f"{option} {named}: no such modality; there are {', '.join(trained.modalities)}."
            f"{nearest(named, trained.modalities)}"
        )
    candidates: Iterable[str] = trained.modalities if named is None else (named,)
    for m in candidates:
        if fits(trained.codecs[m]):
            return m
    kinds = ", ".join(f"{m} ({trained.codecs[m].kind})" for m in candidates)
    raise UsageError(f"expected a modality that holds {what}, but there is only {kinds}.")
