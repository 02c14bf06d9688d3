"""Pictures of values: guessed from others, generated from classes, sampled from the prior."""

from __future__ import annotations

import torch

from mmvae.evaluation.coherence import class_inputs, from_classes, judged_pairs
from mmvae.evaluation.crossing import guesses
from mmvae.evaluation.terms import shown_subsets
from mmvae.randomness import generator
from mmvae.report.canvas import Picture, sheet
from mmvae.report.material import Material, given_name

SAMPLES = 12


def reconstructions(material: Material) -> list[Picture]:
    """For each decoded modality: the truth, and the guess from all and from each subset."""
    model, batch = material.trained.model, material.shown
    everything = model.modalities
    givens = [everything, *shown_subsets(model)]
    guessed = {given: guesses(model, batch, given) for given in givens}
    pictures = []
    for m in model.decoded:
        rows = [material.show(m, batch.x[m])]
        rows += [material.show(m, guessed[given][m]) for given in givens]
        caption = (
            f"{m} of some {material.evaluation['split']} items: the truth, and below it the best "
            f"value at the best point of each posterior, of all modalities and of fewer. "
            + material.origin
        )
        labels = ["truth", *(given_name(given, everything) for given in givens)]
        pictures.append(
            Picture(f"given-{m}", f"{m}, reconstructed and guessed", caption, sheet(rows, labels))
        )
    return pictures


def class_samples(material: Material) -> list[Picture]:
    """For each class: values generated from it, at the mean and at temperature 1."""
    model, pictures = material.trained.model, []
    for label, m in judged_pairs(model):
        codec = model.codecs[label]
        assert codec.classes is not None
        names, rows = codec.classes[:20], []
        for k, given in enumerate(class_inputs(codec)[: len(names)]):
            source = generator(material.seed, "figures", label, m, k)
            many = given.expand(SAMPLES, *given.shape)
            noise = torch.randn(SAMPLES, model.latent_dim, generator=source)
            mean = from_classes(model, label, m, many[:1])
            drawn = from_classes(model, label, m, many, noise)
            rows.append(material.show(m, torch.cat([mean, drawn])))
        caption = (
            f"{m} generated from each {label}: left of the line at the mean of q(z|{label}), "
            f"right of it at {SAMPLES} samples (temperature 1); the decoder's best value at each. "
            + material.origin
        )
        labels = [f"{label} {name}" for name in names]
        drawn_sheet = sheet(rows, labels, (("mean", 1), ("temperature 1", SAMPLES)))
        pictures.append(Picture(f"{label}-to-{m}", f"{m} from {label}", caption, drawn_sheet))
    return pictures


def prior_samples(material: Material) -> list[Picture]:
    """All modalities at samples of the prior."""
    trained = material.trained
    reason = trained.model.supports(trained.modalities, (), trained.modalities)
    if reason is not None:
        return []
    drawn = trained.draw(count=2 * SAMPLES, seed=material.seed)
    rows, labels = [], []
    for part in (slice(0, SAMPLES), slice(SAMPLES, 2 * SAMPLES)):
        for m, values in drawn.items():
            rows.append(material.show(m, values[part]))
            labels.append(m)
    caption = (
        "All modalities together, each column the decoders' best values at one sample of the "
        "prior N(0, I). " + material.origin
    )
    return [Picture("prior", "Samples of the prior", caption, sheet(rows, labels))]
