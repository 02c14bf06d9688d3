"""The latent map: samples of posteriors in two dimensions, and how well classes separate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmvae.evaluation.elbo import shown_subsets
from mmvae.evaluation.nearest_neighbours import NEIGHBOURS, probe
from mmvae.evaluation.statistics import mean_and_error
from mmvae.foundations.errors import UsageError
from mmvae.modalities.subsets import Subset, canonical
from mmvae.report.canvas import Picture
from mmvae.report.classes import MOST_CLASSES, Classes, classes_of
from mmvae.report.clouds import Cloud, draw_clouds
from mmvae.report.formats import percent
from mmvae.report.item_counts import MAPPED_ITEMS
from mmvae.report.projection import Projection
from mmvae.report.report_subject import ReportSubject
from mmvae.report.subject import Subject, given_name, origins, titles

PROBED_ITEMS = 10_000
"""Maximum number of items that train the probe, and that test it."""

_PANELS = 4


def latent_map(subject: ReportSubject) -> list[Picture]:
    """The map of one run: samples given all modalities, and given fewer, in one projection."""
    model, label = subject.trained.model, subject.label
    known = None if label is None else subject.trained.codecs[label].classes
    coloured = label is not None and known is not None and len(known) <= MOST_CLASSES
    classes = classes_of(subject, label) if label is not None and coloured else None
    clouds: list[Cloud] = []
    projection = None
    for given in [model.modalities, *shown_subsets(model)][:_PANELS]:
        title = given_name(given, model.modalities)
        made, projection = cloud(subject, given, classes, title, projection)
        clouds.append(made)
    assert projection is not None
    if model.latent_dim == 2:
        how = ""
    else:
        how = (
            f" They are projected onto the first two principal directions of those given all, "
            f"which hold {100 * projection.share:.0f} % of their variance."
        )
    caption = f"{what(clouds, subject, classes)}{how} {subject.origin}"
    return [Picture("latent-map", "Latent map", caption, draw_clouds(clouds, classes))]


def latent_picture(
    subjects: Sequence[Subject],
    given: Sequence[str] | None = None,
    label: str | None = None,
    items: int = MAPPED_ITEMS,
) -> Picture:
    """The map of several runs: samples of each one's posterior, a panel for each.

    Args:
        subjects: The runs.
        given: The modalities that the posteriors see; default: all.
        label: Modality or column whose classes are shown; default: the first modality with
            classes that any of the runs has.
        items: Number of items shown.

    Returns:
        The figure, with the probe's accuracies by run in its ``numbers``.

    Raises:
        UsageError: A run has no such posterior, no such classes, or classes that differ from the
            others'.
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
    direct = [
        t for s, t in zip(subjects, names, strict=True) if word in (given or s.trained.modalities)
    ]
    if direct:
        how += f" The modalities given to {' and '.join(direct)} include {word} itself."
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
    """Samples of q(z|x_S) for items of a split, with the probe's accuracy on their classes.

    Args:
        subject: The run.
        given: S.
        classes: The classes of its items, if they are known.
        title: The title of its panel.
        projection: Onto two dimensions; default: that of the samples shown.
        items: Number of items to show.
    """
    split, shown = subject.split, subject.chosen(subject.split, items)
    tested, known = (shown[:0],) * 2 if classes is None else probed(subject, items)
    both = len(tested) + (len(known) if split == "train" else 0)
    drawn = subject.chosen(split, max(items, both))
    points = subject.latents(split, drawn, given)
    seen = points[torch.isin(drawn, shown)]
    projection = projection or Projection.of(seen)
    made = Cloud(title, projection(seen), points.shape[1] == 2)
    if classes is None:
        return made, projection
    made = replace(made, classes=classes.codes[split][shown])
    if not len(tested):
        return made, projection
    if split == "train":
        fitted = points[torch.isin(drawn, known)]
    else:
        fitted = subject.latents("train", known, given)
    tried = points[torch.isin(drawn, tested)]
    right = probe(tried, classes.codes[split][tested], fitted, classes.codes["train"][known])
    accuracy = mean_and_error(right)
    return replace(made, accuracy=accuracy, judged=len(tested), known=len(known)), projection


def probed(subject: Subject, items: int) -> tuple[Tensor, Tensor]:
    """Rows of the split that test the probe, and rows of the training split that train it.

    No item is its own neighbour: if training items test the probe, those that come next in the
    same permutation train it, or both are empty if there are too few.
    """
    split, most, total = subject.split, max(items, PROBED_ITEMS), len(subject.batches)
    if split != "train":
        return subject.chosen(split, most), subject.chosen("train", PROBED_ITEMS)
    if total < 2 * NEIGHBOURS:
        return torch.arange(0), torch.arange(0)
    tested = subject.chosen(split, min(most, total // 2))
    return tested, subject.chosen(split, PROBED_ITEMS, after=len(tested))


def what(
    clouds: Sequence[Cloud],
    subject: Subject,
    classes: Classes | None,
    given: str | None = None,
) -> str:
    """The start of the caption: the content of the figure and the definition of the probe."""
    split = subject.split
    seen = "" if given is None else f" given {given}"
    text = (
        f"A sample of each posterior of z{seen} for each of {len(clouds[0].points):,} {split} "
        f"items{'' if classes is None else f', coloured by {classes.word}'}; the same scale in "
        f"each panel."
    )
    if classes is None:
        return f"{text} The classes of the items are unknown."
    tested = [cloud for cloud in clouds if cloud.accuracy is not None]
    if len(tested) < len(clouds):
        text += (
            f" No accuracy is given for fewer than {2 * NEIGHBOURS} training items: too few to "
            f"classify one half by the other."
        )
    if not tested:
        return text
    first = tested[0]
    other, held_out = "", ""
    if split == "train":
        other = "other "
        held_out = " The model was trained on all of them: this is no held-out test."
    shares = torch.bincount(classes.codes[split]).double() / len(classes.codes[split])
    largest = percent({"mean": float(shares.max()), "error": None})
    return (
        f"{text} Below each panel, the share of {first.judged:,} {split} items whose class is the "
        f"most frequent one of the {min(NEIGHBOURS, first.known)} nearest of {first.known:,} "
        f"{other}training items, in all dimensions of z, with its standard error; the largest "
        f"class alone holds {largest}.{held_out}"
    )


def _classes(subject: Subject, word: str, subjects: Sequence[Subject]) -> Classes:
    """A run's classes; if it has no such word, those of the column that another run uses."""
    if word not in subject.trained.codecs and word not in subject.data.splits["train"].columns:
        columns = (s.data.columns[word] for s in subjects if word in s.data.columns)
        return replace(classes_of(subject, next(columns, word)), word=word)
    return classes_of(subject, word)


def _check_same(subjects: Sequence[Subject], kinds: Sequence[Classes | None]) -> None:
    """Refuse runs whose classes have other names: one legend serves all panels."""
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
