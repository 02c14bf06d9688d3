"""Coherence: does what is generated from a class, or beside one, show that class?

Generic: any modality with classes gives them, any other modality is judged.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.evaluation.classifiers import Judge, Judges
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.cross_generation import arrow
from mmvae.evaluation.statistics import mean_and_error
from mmvae.foundations.randomness import ItemDraws, sample
from mmvae.modalities.codec import Codec
from mmvae.models.base import Model
from mmvae.models.finite import finite_values

OF_THE_JUDGE = ("classifier on real items", "most frequent class")
"""Figures that say what a judge is worth, and nothing of a model."""


def coherence(
    model: Model,
    batches: Batches,
    judges: Judges,
    config: EvaluateConfig,
) -> dict[str, Any]:
    """Share of generated values in which a judge sees the class that they should show.

    Judges see generated values in the view that real items have: binary pixels, where those are.

    Args:
        model: The model.
        batches: Real items on which the judges themselves are judged.
        judges: Classifiers trained on real items. Of both, those count that have m and c.
        config: ``coherence_samples``, spread evenly over the classes, ``seed``, ``batch_size``.

    Returns:
        ``"c → m"`` → ``"temperature 1"`` (z drawn from q(z|c)), ``"mean"`` (z its best point) and
        ``"classifier on real items"`` beside ``"most frequent class"``, what naming that one each
        time would reach, each with mean and error over what was judged; and
        ``"prior → m, c"`` without ``"mean"``: m and c are decoded from one z of the prior, and m
        should show c; ``"fitted prior → m, c"`` likewise, of models that have one.
    """
    found: dict[str, Any] = {}
    given, free = judged_pairs(model), prior_pairs(model)
    for label, modality in all_pairs(model):
        if not judges.can(modality, label):
            continue  # nothing to learn from
        judge = judges.of(modality, label)
        real = on_real_items(*judges.judged(modality, label, batches, config.batch_size))
        if (label, modality) in given:
            drawn, best = (
                mean_and_error(shown(model, judge, label, modality, draw, config))
                for draw in (True, False)
            )
            found[arrow(label, modality)] = {"temperature 1": drawn, "mean": best, **real}
        if (label, modality) in free:
            fitted = model.fitted_prior(1) is not None
            for origin in ("prior", "fitted prior") if fitted else ("prior",):
                agreed = agreement(model, judge, label, modality, config, origin != "prior")
                direction = arrow(origin, f"{modality}, {label}")
                found[direction] = {"temperature 1": mean_and_error(agreed), **real}
    return found


def on_real_items(right: Tensor, classes: Tensor) -> dict[str, Any]:
    """How often a judge is right on real items, and how often the most frequent class would be."""
    if not len(right):
        return {}
    frequent = (classes == classes.mode().values).float()
    return dict(zip(OF_THE_JUDGE, map(mean_and_error, (right, frequent)), strict=True))


def all_pairs(model: Model) -> list[tuple[str, str]]:
    """Pairs (modality with classes, other modality) that need a judge."""
    return list(dict.fromkeys((*judged_pairs(model), *prior_pairs(model))))


def judged_pairs(model: Model) -> list[tuple[str, str]]:
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


def shown(
    model: Model,
    judge: Judge,
    label: str,
    modality: str,
    draw: bool,
    config: EvaluateConfig,
) -> Tensor:
    """Whether the judge sees the right class in each generated value, float (n,).

    z is drawn from q(z|c), or else its best point.
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
        right.append(judge.verdict_on_generated(values, draws).cpu() == classes)
    return torch.cat(right).float()


def spread_evenly(count: int, classes: int, seed: int) -> Tensor:
    """A class for each of ``count`` values, int64: each as often, to within one.

    Which classes get one more, or any where there are more classes than values, ``seed`` says.
    """
    whole = count - count % classes
    rest = sample(classes, count - whole, seed, "coherence classes")
    return torch.cat([torch.arange(whole) % classes, rest])


@torch.no_grad()
def agreement(
    model: Model,
    judge: Judge,
    label: str,
    modality: str,
    config: EvaluateConfig,
    fitted: bool = False,
) -> Tensor:
    """Whether the judge sees in each value from the prior the class beside it, float (n,).

    Both are their decoder's best values at the same z ~ p(z), or of the fitted prior.
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
        seen = judge.verdict_on_generated(values, draws, modality)
        right.append(seen == model.codecs[label].class_index(said))
    return torch.cat(right).float().cpu()


def class_inputs(codec: Codec) -> Tensor:
    """Model input of each class, as a user would give it: (K, event…)."""
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
        modality: What to generate.
        given: Model input of ``label``, (n, event…).
        noise: Standard normal (n, d), for samples of q(z|c); None takes its best point.
    """
    device = next(model.parameters()).device
    known = {label: given.to(device)}
    q = model.posterior(known)
    z = q.point() if noise is None else q.rsample(noise.to(device))
    return finite_values(model, modality, z, known)
