"""Figures requested by name: reconstructions of one run, generated values of several."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from mmvae.evaluation.elbo import rest
from mmvae.foundations.errors import UsageError
from mmvae.modalities.subsets import canonical
from mmvae.report.canvas import Picture, sheet
from mmvae.report.item_counts import SHOWN_ITEMS
from mmvae.report.pictures import class_labels, class_rows, generated_caption, prediction_rows
from mmvae.report.subject import Subject, origins, titles


def reconstruction_picture(
    subject: Subject, modality: str | None = None, items: int = SHOWN_ITEMS
) -> tuple[Picture, list[str]]:
    """A modality of some items: the true values, reconstructed from all, and from itself alone.

    Args:
        subject: The run.
        modality: The modality; default: the first that is decoded and shown as images, or else
            the first that is decoded.
        items: Number of items.

    Returns:
        The figure, and one line for each row that is left out, with the reason.

    Raises:
        UsageError: The run has no such modality, or does not decode it.
    """
    model = subject.trained.model
    batch = subject.few(items)
    with subject.named():
        m = modality or shown_as_pictures(subject, model.decoded)
        canonical(m, model.modalities)
    if m not in model.decoded:
        raise UsageError(
            f"{subject.run.folder}: its {model.kind} has no decoder for {m!r}; expected one of "
            f"{', '.join(model.decoded)}."
        )
    givens = {"multiple": model.modalities, "single": (m,)}
    missing = []
    if len(model.modalities) == 1:
        del givens["multiple"]  # the same
    elif (reason := model.supports(rest(model, (m,)), (m,), (m,))) is not None:
        del givens["single"]
        missing.append(f"left out: single ({reason})")
    rows = prediction_rows(subject, batch, list(givens.values()), (m,))[m]
    seen = " and ".join(f"{' and '.join(given)} ({name})" for name, given in givens.items())
    caption = (
        f"{m} of {len(batch)} {subject.split} items: as it is (input), and the decoder's best "
        f"value at the best point of the posterior given {seen}. {subject.title}: {subject.origin}"
    )
    drawn = sheet(rows, ["input", *givens])
    return Picture("reconstructions", f"{m}, reconstructed", caption, drawn), missing


def generated_picture(
    subjects: Sequence[Subject],
    label: str | None = None,
    to: str | None = None,
    samples: int = 6,
) -> Picture:
    """Values generated from each class by several runs, side by side at one scale.

    Args:
        subjects: The runs.
        label: The modality with classes; default: the first of the first run.
        to: The modality to generate; default: the first run's first other modality that it shows
            as images.
        samples: Number per class at temperature 1, beside the one at the mean.

    Raises:
        UsageError: A run has no such modality or no such direction, or other classes.
    """
    first = subjects[0]
    label = label or first.label
    if label is None:
        raise UsageError(
            f"{first.run.folder}: none of its modalities ({', '.join(first.trained.modalities)}) "
            f"has classes to generate from."
        )
    others = tuple(m for m in first.trained.model.decoded if m != label)
    to = to or shown_as_pictures(first, others)
    for subject in subjects:
        check_direction(subject, label, to, first)
    blocks = [class_rows(subject, label, to, samples) for subject in subjects]
    rows = [[value for row in parts for value in row] for parts in zip(*blocks, strict=True)]
    names = titles(subjects)
    drawn = sheet(
        rows,
        class_labels(first.trained.codecs[label], label),
        [("mean", 1), ("temperature 1", samples)] * len(subjects),
        [(name, samples + 1) for name in names],
    )
    caption = f"{generated_caption(first, label, to, samples)} {origins(subjects)}"
    return Picture("generated", f"{to} from {label}", caption, drawn)


def check_direction(subject: Subject, label: str, to: str, first: Subject) -> None:
    """Refuse a run that cannot generate ``to`` from a class of ``label``.

    Raises:
        UsageError: It has no such modalities, no classes, others than the first run, no posterior
            of ``label`` or no decoder of ``to``.
    """
    model = subject.trained.model
    with subject.named():
        canonical((label, to), model.modalities)
        classes = model.codecs[label].classes
        if classes is None:
            raise UsageError(f"modality {label!r} has no classes to generate from.")
        if label == to:
            raise UsageError(f"{to!r} cannot be generated from itself; name another with --to.")
        known = first.trained.codecs[label].classes
        if classes != known:
            raise UsageError(
                f"its classes of {label!r} are {', '.join(classes)}, but those of "
                f"{first.run.folder} are {', '.join(known or ())}; expected the same."
            )
        reason = model.supports((to,), (label,), (label,))
        if reason is not None:
            raise UsageError(reason)


def shown_as_pictures(subject: Subject, modalities: Sequence[str]) -> str:
    """The first of these modalities that its codec shows as images, or else the first.

    Raises:
        UsageError: There is none.
    """
    if not modalities:
        raise UsageError(
            f"{subject.run.folder}: it has no modality that could be shown; its modalities are "
            f"{', '.join(subject.trained.modalities)}."
        )
    one = subject.mapped.take([0])
    for m in modalities:
        if isinstance(subject.show(m, one.x[m])[0], Image.Image):
            return m
    return modalities[0]
