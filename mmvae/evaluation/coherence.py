"""Coherence: the share of generated values that show the class they were generated with.

It is generic: any modality with classes provides them, any other modality is classified.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.evaluation.classifiers import Classifier, Classifiers
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.cross_generation import arrow
from mmvae.evaluation.statistics import mean_and_error
from mmvae.foundations.randomness import ItemDraws, sample
from mmvae.modalities.codec import Codec
from mmvae.models.base import Model
from mmvae.models.finite import finite_values

OF_THE_JUDGE = ("classifier on real items", "most frequent class")
"""Statistics that measure the quality of a classifier, not of a model."""


def coherence(
    model: Model,
    batches: Batches,
    classifiers: Classifiers,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """The share of generated values in which a classifier sees the class that they should show.

    Classifiers see generated values in the view that real items have, e.g. binary pixels.

    Args:
        model: The model.
        batches: Real items, on which the accuracy of the classifiers is measured.
        classifiers: Classifiers trained on real items. Both use only items that have m and c.
        config: ``coherence_samples``, spread evenly over the classes, ``seed``, ``batch_size``.

    Returns:
        ``"c → m"`` → ``"temperature 1"`` (z drawn from q(z|c)), ``"mean"`` (z its point estimate),
        ``"classifier on real items"`` and ``"most frequent class"`` (the accuracy of always
        predicting that class), each with mean and error over the classified values; and
        ``"prior → m, c"`` without ``"mean"``: m and c are decoded from one z of the prior, and m
        should show c; ``"fitted prior → m, c"`` likewise, for models that have one.
    """
    found: dict[str, Any] = {}
    given, free = classified_pairs(model), prior_pairs(model)
    for label, modality in all_pairs(model):
        if not classifiers.can(modality, label):
            continue  # no training items with both
        classifier = classifiers.of(modality, label)
        real = on_real_items(*classifiers.classified(modality, label, batches, config.batch_size))
        if (label, modality) in given:
            drawn, best = (
                mean_and_error(class_coherence(model, classifier, label, modality, draw, config))
                for draw in (True, False)
            )
            found[arrow(label, modality)] = {"temperature 1": drawn, "mean": best, **real}
        if (label, modality) in free:
            fitted = model.fitted_prior(1) is not None
            for origin in ("prior", "fitted prior") if fitted else ("prior",):
                agreed = prior_coherence(
                    model, classifier, label, modality, config, origin != "prior"
                )
                direction = arrow(origin, f"{modality}, {label}")
                found[direction] = {"temperature 1": mean_and_error(agreed), **real}
    return found


def on_real_items(right: Tensor, classes: Tensor) -> dict[str, Any]:
    """Accuracy of a classifier on real items, and of always predicting the most frequent class."""
    if not len(right):
        return {}
    frequent = (classes == classes.mode().values).float()
    return dict(zip(OF_THE_JUDGE, map(mean_and_error, (right, frequent)), strict=True))


def all_pairs(model: Model) -> list[tuple[str, str]]:
    """Pairs (modality with classes, other modality) that need a classifier."""
    return list(dict.fromkeys((*classified_pairs(model), *prior_pairs(model))))


def classified_pairs(model: Model) -> list[tuple[str, str]]:
    """Pairs (modality with classes, other modality) for which there is q(z|c)."""
    return [
        (c, m)
        for c, codec in model.codecs.items()
        if codec.classes is not None
        for m in model.modalities
        if m != c and model.supports((m,), (c,), (c,)) is None
    ]


def prior_pairs(model: Model) -> list[tuple[str, str]]:
    """Pairs (modality with classes, other modality) that are both decoded from z ~ p(z)."""
    if model.supports(model.modalities, (), model.modalities) is not None:
        return []
    classed = [c for c, codec in model.codecs.items() if codec.classes is not None]
    return [(c, m) for c in classed for m in model.modalities if m != c]


def class_coherence(
    model: Model,
    classifier: Classifier,
    label: str,
    modality: str,
    draw: bool,
    config: EvaluateConfig,
) -> Tensor:
    """For each generated value, 1 if the classifier sees the right class, float (n,).

    z is drawn from q(z|c), or is its point estimate.
    """
    kinds = class_inputs(model.codecs[label])
    wanted = spread_evenly(config.coherence_samples, len(kinds), config.seed)
    right = []
    for start in range(0, len(wanted), config.batch_size):
        rows = slice(start, min(start + config.batch_size, len(wanted)))
        classes = wanted[rows]
        draws = ItemDraws(config.seed, f"coherence {label} {modality}", rows)
        noise = draws.normal("z", model.latent_dim) if draw else None
        values = from_classes(model, label, modality, kinds[classes], noise)
        right.append(classifier.verdict_on_generated(values, draws).cpu() == classes)
    return torch.cat(right).float()


def spread_evenly(count: int, classes: int, seed: int) -> Tensor:
    """A class for each of ``count`` values, int64; frequencies differ by at most one.

    ``seed`` chooses the classes that get one more, or those used if there are more classes than
    values.
    """
    whole = count - count % classes
    rest = sample(classes, count - whole, seed, "coherence classes")
    return torch.cat([torch.arange(whole) % classes, rest])


@torch.no_grad()
def prior_coherence(
    model: Model,
    classifier: Classifier,
    label: str,
    modality: str,
    config: EvaluateConfig,
    fitted: bool = False,
) -> Tensor:
    """For each value from the prior, 1 if the classifier sees the class beside it, float (n,).

    Value and class are their decoders' best values at the same z ~ p(z), or z of the fitted prior.
    """
    device = next(model.parameters()).device
    right = []
    for start in range(0, config.coherence_samples, config.batch_size):
        rows = slice(start, min(start + config.batch_size, config.coherence_samples))
        draws = ItemDraws(config.seed, "coherence prior", rows, device)
        noise = draws.normal("z", model.latent_dim)
        n = len(noise)
        z = (model.sampling_prior(n) if fitted else model.prior({}, n)).rsample(noise)
        values, said = (finite_values(model, m, z) for m in (modality, label))
        seen = classifier.verdict_on_generated(values, draws, modality)
        right.append(seen == model.codecs[label].class_index(said))
    return torch.cat(right).float().cpu()


def class_inputs(codec: Codec) -> Tensor:
    """Model input of each class, encoded from the user's value: (K, event…)."""
    assert codec.classes is not None
    return torch.cat([codec.condition(codec.parse(name)) for name in codec.classes])


@torch.no_grad()
def from_classes(
    model: Model,
    label: str,
    modality: str,
    given: Tensor,
    noise: Tensor | None = None,
) -> Tensor:
    """Best values of ``modality`` at one z for each given class, (n, event…).

    Args:
        model: The model.
        label: The modality with classes.
        modality: The modality to generate.
        given: Model input of ``label``, (n, event…).
        noise: Standard normal (n, d), for samples of q(z|c); None uses its point estimate.
    """
    device = next(model.parameters()).device
    known = {label: given.to(device)}
    q = model.posterior(known)
    z = q.point() if noise is None else q.rsample(noise.to(device))
    return finite_values(model, modality, z, known)
