"""Figures of values: predicted from others, generated from classes, sampled from the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mmvae.data.batches import Batch
from mmvae.evaluation.coherence import class_inputs, classified_pairs, from_classes
from mmvae.evaluation.cross_generation import predictions
from mmvae.evaluation.elbo import shown_subsets
from mmvae.foundations.randomness import generator
from mmvae.modalities.codec import Codec
from mmvae.modalities.subsets import Subset
from mmvae.report.canvas import Picture, sheet
from mmvae.report.report_subject import ReportSubject
from mmvae.report.subject import Subject, given_name

SAMPLES = 12
MOST_ROWS = 20


def reconstructions(subject: ReportSubject) -> list[Picture]:
    """For each decoded modality: the true value, and its prediction from all and each subset."""
    model, batch = subject.trained.model, subject.shown
    everything = model.modalities
    givens = [everything, *shown_subsets(model)]
    labels = ["truth", *(given_name(given, everything) for given in givens)]
    rows = prediction_rows(subject, batch, givens, model.decoded)
    pictures = []
    for m in model.decoded:
        caption = (
            f"{m} of some {subject.split} items: the true value, and below it the decoder's point "
            f"estimate at the point estimate of each posterior, given all modalities and given "
            f"fewer. " + subject.origin
        )
        drawn = sheet(rows[m], labels)
        pictures.append(Picture(f"given-{m}", f"{m}, reconstructed and predicted", caption, drawn))
    return pictures


def prediction_rows(
    subject: Subject, batch: Batch, givens: Sequence[Subset], targets: Subset
) -> dict[str, list[list[Any]]]:
    """Each target's true values for display, and below them those predicted from each S."""
    rows = {m: [subject.show(m, batch.x[m])] for m in targets}
    for given in givens:
        predicted = predictions(subject.trained.model, batch, given)
        for m in targets:
            rows[m].append(subject.show(m, predicted[m]))
    return rows


def class_samples(subject: ReportSubject) -> list[Picture]:
    """For each class: values generated from it, at the mean and at temperature 1."""
    pictures = []
    for label, m in classified_pairs(subject.trained.model):
        caption = f"{generated_caption(subject, label, m, SAMPLES)} {subject.origin}"
        drawn = sheet(
            class_rows(subject, label, m, SAMPLES),
            class_labels(subject.trained.codecs[label], label),
            (("mean", 1), ("temperature 1", SAMPLES)),
        )
        pictures.append(Picture(f"{label}-to-{m}", f"{m} from {label}", caption, drawn))
    return pictures


def class_rows(subject: Subject, label: str, modality: str, samples: int) -> list[list[Any]]:
    """A row for each class: the best value at the mean of q(z|c), then at samples of it."""
    model, rows = subject.trained.model, []
    for k, given in enumerate(class_inputs(model.codecs[label])[:MOST_ROWS]):
        source = generator(subject.seed, "figures", label, modality, k)
        many = given.expand(samples, *given.shape)
        noise = torch.randn(samples, model.latent_dim, generator=source)
        mean = from_classes(model, label, modality, many[:1])
        drawn = from_classes(model, label, modality, many, noise)
        rows.append(subject.show(modality, torch.cat([mean, drawn])))
    return rows


def class_labels(codec: Codec, label: str) -> list[str]:
    """The names of the rows of :func:`class_rows`."""
    assert codec.classes is not None
    return [f"{label} {name}" for name in codec.classes[:MOST_ROWS]]


def generated_caption(subject: Subject, label: str, modality: str, samples: int) -> str:
    """The caption of a sheet of :func:`class_rows`."""
    classes = len(subject.trained.codecs[label].classes or ())
    which = f"each {label}" if classes <= MOST_ROWS else f"{MOST_ROWS} of {classes} {label}s"
    return (
        f"{modality} generated from {which}: left of the line at the mean of q(z|{label}), "
        f"right of it at {samples} samples (temperature 1); the decoder's best value at each."
    )


def prior_samples(subject: ReportSubject) -> list[Picture]:
    """All modalities at samples of the prior."""
    trained = subject.trained
    reason = trained.model.supports(trained.modalities, (), trained.modalities)
    if reason is not None:
        return []
    drawn = trained.draw(count=2 * SAMPLES, seed=subject.seed)
    rows, labels = [], []
    for part in (slice(0, SAMPLES), slice(SAMPLES, 2 * SAMPLES)):
        for m, values in drawn.items():
            rows.append(subject.show(m, values[part]))
            labels.append(m)
    fitted = trained.model.fitted_prior(1) is not None
    name = "fitted prior" if fitted else "prior N(0, I)"
    caption = (
        f"All modalities together, each column the decoders' best values at one sample of the "
        f"{name}. {subject.origin}"
    )
    return [Picture("prior", "Samples of the prior", caption, sheet(rows, labels))]
