"""The latent map: samples of posteriors in two dimensions, and how discriminable they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mmvae.errors import UsageError
from mmvae.evaluation.figures import mean_and_error
from mmvae.evaluation.probe import NEIGHBOURS, probe
from mmvae.evaluation.terms import shown_subsets
from mmvae.report.canvas import Picture
from mmvae.report.classes import MOST_CLASSES, Classes, classes_of
from mmvae.report.clouds import Cloud, draw_clouds
from mmvae.report.material import Material
from mmvae.report.subject import MAPPED_ITEMS, Subject, given_name, origins, titles
from mmvae.report.tables import percent
from mmvae.subsets import Subset, canonical

PROBED_ITEMS = 10_000
"""Most items that the probe knows, and most that it is judged on."""

_PANELS = 4


@dataclass(frozen=True)
class Projection:
    """Latents in two dimensions: as they are, or along two principal directions.

    Attributes:
        centre: Shape (d,).
        directions: Shape (d, 2).
        share: Share of the variance that they hold.
    """

    centre: Tensor
    directions: Tensor
    share: float

    @classmethod
    def of(cls, points: Tensor) -> Projection:
        """The one for these points (n, d)."""
        if points.shape[1] == 2:
            return cls(torch.zeros(2), torch.eye(2), 1.0)
        return cls(*principal_directions(points))

    def __call__(self, points: Tensor) -> Tensor:
        """Points (n, d) → (n, 2)."""
        return (points - self.centre) @ self.directions


def latent_map(material: Material) -> list[Picture]:
    """Of one run: samples given all modalities, and given fewer, in one projection."""
    model, label = material.trained.model, material.label
    known = None if label is None else material.trained.codecs[label].classes
    coloured = label is not None and known is not None and len(known) <= MOST_CLASSES
    classes = classes_of(material, label) if label is not None and coloured else None
    clouds: list[Cloud] = []
    projection = None
    for given in [model.modalities, *shown_subsets(model)][:_PANELS]:
        title = given_name(given, model.modalities)
        made, projection = cloud(material, given, classes, title, projection)
        clouds.append(made)
    assert projection is not None
    if model.latent_dim == 2:
        how = ""
    else:
        how = (
            f" They are projected onto the first two principal directions of those given all, "
            f"which hold {100 * projection.share:.0f} % of their variance."
        )
    caption = f"{what(clouds, material, classes)}{how} {material.origin}"
    return [Picture("latent-map", "Latent map", caption, draw_clouds(clouds, classes))]


def latent_picture(
    subjects: Sequence[Subject],
    given: Sequence[str] | None = None,
    label: str | None = None,
    items: int = MAPPED_ITEMS,
) -> Picture:
    """Of several runs: samples of each one's posterior, a panel for each.

    Args:
        subjects: The runs.
        given: What the posteriors see; all modalities unless given.
        label: Modality or column whose classes are shown; unless given, the first modality with
            classes that any of the runs has.
        items: How many items are shown.

    Returns:
        The picture, with the probe's accuracies by run in its ``numbers``.

    Raises:
        UsageError: A run has no such posterior, no such classes, or other ones than the rest.
        DataError: A column holds no classes.
    """
    word = label or next((s.label for s in subjects if s.label is not None), None)
    kinds = [None if word is None else _classes(s, word, subjects) for s in subjects]
    _check_same(subjects, kinds)
    clouds, shares = [], []
    names = titles(subjects)
    for subject, classes, title in zip(subjects, kinds, names, strict=True):
        everything = subject.trained.modalities
        with subject.named():
            subset = canonical(given or everything, everything)
            made, projection = cloud(subject, subset, classes, title, None, items)
        clouds.append(made)
        if subject.trained.model.latent_dim != 2:
            shares.append(f"{100 * projection.share:.0f} % of the variance of {title}")
    how = ""
    if shares:
        how = (
            f" Latents of more or fewer than two dimensions are projected onto the first two "
            f"principal directions of their own, which hold {', '.join(shares)}."
        )
    told = [
        t for s, t in zip(subjects, names, strict=True) if word in (given or s.trained.modalities)
    ]
    if told:
        how += f" What {' and '.join(told)} is given holds {word} itself."
    seen = "all modalities of a run" if given is None else " and ".join(given)
    caption = f"{what(clouds, subjects[0], kinds[0], seen)}{how} {origins(subjects)}"
    accuracies = {
        str(subject.run.folder): {"title": made.title, **made.accuracy}
        for subject, made in zip(subjects, clouds, strict=True)
        if made.accuracy is not None
    }
    numbers = {"nearest neighbours": accuracies}
    return Picture("latent", "Latent map", caption, draw_clouds(clouds, kinds[0]), numbers)


def cloud(
    subject: Subject,
    given: Subset,
    classes: Classes | None,
    title: str,
    projection: Projection | None = None,
    items: int = MAPPED_ITEMS,
) -> tuple[Cloud, Projection]:
    """Samples of q(z|x_S) for items of a split, and how well the probe tells their classes.

    Args:
        subject: The run.
        given: S.
        classes: The classes of its items, if they are known.
        title: For its panel.
        projection: Onto two dimensions; that of the samples shown unless given.
        items: How many to show.
    """
    split = subject.split
    judged = subject.chosen(split, max(items, PROBED_ITEMS) if classes else items)
    points = subject.latents(split, judged, given)
    shown = subject.chosen(split, items)
    here = torch.isin(judged, shown)
    projection = projection or Projection.of(points[here])
    flat, own = projection(points[here]), points.shape[1] == 2
    if classes is None:
        return Cloud(title, flat, own), projection
    truth, known = classes.codes[split][judged], subject.chosen("train", PROBED_ITEMS)
    fitted = subject.latents("train", known, given)
    right = probe(points, truth, fitted, classes.codes["train"][known])
    accuracy = mean_and_error(right)
    return Cloud(title, flat, own, truth[here], accuracy, len(judged), len(known)), projection


def what(
    clouds: Sequence[Cloud],
    subject: Subject,
    classes: Classes | None,
    given: str | None = None,
) -> str:
    """The caption's beginning: what is drawn and what the probe is."""
    first, split = clouds[0], subject.split
    seen = "" if given is None else f" given {given}"
    text = (
        f"A sample of each posterior of z{seen} for each of {len(first.points):,} {split} items"
        f"{'' if classes is None else f', coloured by {classes.word}'}; the same scale in each "
        f"panel."
    )
    if classes is None:
        return f"{text} Nothing says which classes the items have."
    shares = torch.bincount(classes.codes[split]).double() / len(classes.codes[split])
    largest = percent({"mean": float(shares.max()), "error": None})
    return (
        f"{text} Below each panel, the share of {first.judged:,} {split} items whose class is the "
        f"most frequent one of the {min(NEIGHBOURS, first.known)} nearest of {first.known:,} "
        f"training items, in all dimensions of z, with its standard error; the largest class "
        f"alone holds {largest}."
    )


def principal_directions(points: Tensor) -> tuple[Tensor, Tensor, float]:
    """Centre (d,), first two principal directions (d, 2) and their share of the variance.

    Each direction's largest component is positive; with d = 1 the second direction is 0.
    """
    centre = points.mean(0)
    _, sizes, rows = torch.linalg.svd(points - centre, full_matrices=False)
    directions = torch.zeros(points.shape[1], 2, dtype=points.dtype)
    for i, row in enumerate(rows[:2]):
        directions[:, i] = row * row[row.abs().argmax()].sign()
    total = float(sizes.square().sum())
    share = float(sizes[:2].square().sum()) / total if total else 1.0
    return centre, directions, share


def _classes(subject: Subject, word: str, subjects: Sequence[Subject]) -> Classes:
    """A run's classes; where it knows no such word, by the column that another run has for it."""
    if word not in subject.trained.codecs and word not in subject.data.splits["train"].columns:
        columns = (s.data.columns[word] for s in subjects if word in s.data.columns)
        return replace(classes_of(subject, next(columns, word)), word=word)
    return classes_of(subject, word)


def _check_same(subjects: Sequence[Subject], kinds: Sequence[Classes | None]) -> None:
    """Refuse runs whose classes have other names: one legend stands for all panels."""
    names = [None if classes is None else classes.names for classes in kinds]
    for subject, found in zip(subjects, names, strict=True):
        if found != names[0]:
            raise UsageError(
                f"{subject.run.folder} has the classes {_listed(found)}, but "
                f"{subjects[0].run.folder} has {_listed(names[0])}; expected the same in all "
                f"panels. Draw them one by one, or name other classes with --label."
            )


def _listed(names: Any) -> str:
    return ", ".join(names or ["none"])
