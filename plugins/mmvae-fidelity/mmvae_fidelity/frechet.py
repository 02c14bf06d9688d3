"""The Fréchet distance between Gaussians fitted to features of real and of generated pictures."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field
from torch import Tensor

from mmvae import Codec, ConfigError, Specimen
from mmvae_fidelity.classifier import classifier_of, labelled
from mmvae_fidelity.pictures import (
    PictureConfig,
    PictureMetric,
    generated,
    real,
    require_modality,
)

TINY = 1e-10
"""Eigenvalues below this share of the largest are set to 0."""


class FrechetConfig(PictureConfig):
    """Keys of ``kind = "frechet"``."""

    labels: str | None = Field(
        None,
        description="The modality of classes or attributes on which the classifier is trained. "
        "Default: the first such modality.",
    )


class Frechet(PictureMetric):
    """|m − m'|² + tr(S + S' − 2 (S S')^½) of features of a classifier trained here."""

    kind = "frechet"
    Config = FrechetConfig
    config: FrechetConfig

    @property
    def about(self) -> str:
        """See :attr:`mmvae.Metric.about`."""
        return (
            f"Fréchet distance between Gaussians fitted to 64 features of real and of generated "
            f"pictures of {self.config.modality!r} (means of p(x|z), one z for each item, "
            f"binarised where real ones are); lower is better. The features are those of a "
            f"classifier trained on real training pictures alone; the distance of two halves of "
            f"the real pictures is due to chance alone, at half as many pictures."
        )

    def check(self, codecs: Mapping[str, Codec]) -> None:
        """See :meth:`mmvae.Metric.check`."""
        super().check(codecs)
        labels = self.config.labels
        if labels is not None:
            require_modality(codecs, "labels", labels)
            if (codecs[labels].classes or codecs[labels].attributes) is None:
                raise ConfigError(
                    f"labels = {labels!r}: expected a modality with classes or attributes."
                )

    def unavailable(self, specimen: Specimen) -> str | None:
        """See :meth:`mmvae.Metric.unavailable`."""
        return super().unavailable(specimen) or no_labels(
            specimen, self.config.modality, self.config.labels
        )

    def measure(self, specimen: Specimen) -> Mapping[str, Tensor]:
        """See :meth:`mmvae.Metric.measure`."""
        modality = self.config.modality
        labels = self.config.labels or labelled(specimen, modality)
        assert labels is not None
        classifier = classifier_of(specimen, modality, labels)
        truth = classifier.all_features(real(specimen, modality))
        found = {
            name: linearised(truth, classifier.all_features(pictures))
            for name, pictures in generated(specimen, self.config)
        }
        order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(specimen.seed))
        return {**found, "two halves of real pictures": halves(truth, order)}


def no_labels(specimen: Specimen, modality: str, labels: str | None) -> str | None:
    """The reason why no classifier can be trained, or None."""
    codecs = specimen.model.codecs
    if labels is None:
        found = labelled(specimen, modality)
        return None if found else "no modality has classes or attributes to train a classifier on"
    if labels not in codecs:
        return f"labels = {labels!r} is none of {', '.join(codecs)}"
    known = (codecs[labels].classes or codecs[labels].attributes) is not None
    return None if known else f"labels = {labels!r} has neither classes nor attributes"


def moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (d,) and covariance (d, d), over n, of features (n, d)."""
    mean = features.mean(0)
    centred = features - mean
    return mean, centred.T @ centred / len(features)


def root(matrix: Tensor, power: float = 0.5) -> Tensor:
    """A power of a symmetric positive semi-definite matrix, by its eigenvalues; 0 stays 0."""
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    kept = values > TINY * values[-1].clamp_min(0)
    powers = torch.where(kept, values.clamp_min(0).where(kept, 1.0) ** power, 0.0)
    result: Tensor = (vectors * powers) @ vectors.T
    return result


def frechet(m: Tensor, s: Tensor, m2: Tensor, s2: Tensor) -> Tensor:
    """|m − m'|² + tr(S + S' − 2 (S S')^½), the squared 2-Wasserstein distance of Gaussians.

    tr (S S')^½ = tr (S^½ S' S^½)^½ (Dowson and Landau 1982), all in float64.

    Args:
        m: Mean (d,).
        s: Covariance (d, d).
        m2: The other mean.
        s2: The other covariance.
    """
    half = root(s)
    cross = torch.linalg.eigvalsh(half @ s2 @ half).clamp_min(0).sqrt().sum()
    distance: Tensor = (m - m2).square().sum() + s.trace() + s2.trace() - 2 * cross
    return distance.clamp_min(0)


def transport(s: Tensor, s2: Tensor) -> Tensor:
    """The matrix of the optimal map from N(0, S) to N(0, S'): S^-½ (S^½ S' S^½)^½ S^-½."""
    half, inverse = root(s), root(s, -0.5)
    result: Tensor = inverse @ root(half @ s2 @ half) @ inverse
    return result


def linearised(real: Tensor, other: Tensor) -> Tensor:
    """The distance, linearised: itself plus its influence function at each pair, float64 (n,).

    With T the optimal map from one Gaussian to the other, a point x adds
    2 (m − m')ᵀ(x − m) + (x − m)ᵀ(1 − T)(x − m) − tr((1 − T) S): the derivative of the distance by
    the weight of x. The mean over items is the distance itself.

    Args:
        real: Features of the items, float64 (n, d).
        other: Features of the value generated for each, float64 (n, d).
    """
    (m, s), (m2, s2) = moments(real), moments(other)
    distance = frechet(m, s, m2, s2)
    influence = _influence(real, m, s, m2, s2) + _influence(other, m2, s2, m, s)
    return distance + influence - influence.mean()


def _influence(x: Tensor, m: Tensor, s: Tensor, m2: Tensor, s2: Tensor) -> Tensor:
    centred = x - m
    rest = torch.eye(len(s), dtype=s.dtype) - transport(s, s2)
    return 2 * centred @ (m - m2) + ((centred @ rest) * centred).sum(1)


def halves(real: Tensor, order: Tensor) -> Tensor:
    """Apply :func:`linearised` to two halves of the items; each pair counts twice.

    Args:
        real: Features of the items, float64 (n, d).
        order: A random order of the items, (n,), since the table may be sorted; its even positions
            are the first half.
    """
    pairs = len(real) // 2
    one, two = order[0 : 2 * pairs : 2], order[1 : 2 * pairs : 2]
    values = linearised(real[one], real[two])
    mean = values.mean()
    found = mean.repeat(len(real))  # with an odd number, the last item is left out
    found[one] = found[two] = mean + (values - mean) * 2**0.5  # the error is over pairs
    return found
