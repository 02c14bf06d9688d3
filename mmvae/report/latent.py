"""The latent map: posterior means of items in the two directions in which they vary most."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mmvae.evaluation.terms import shown_subsets
from mmvae.report.canvas import OKABE_ITO, Picture, class_styles, new_figure, png
from mmvae.report.material import Material, given_name

_PANELS = 4
_MOST_CLASSES = 20  # more colours and markers cannot be told apart


def latent_map(material: Material) -> list[Picture]:
    """Posterior means given all modalities, and given fewer, in one projection."""
    model, batch = material.trained.model, material.mapped
    givens = [model.modalities, *shown_subsets(model)][:_PANELS]
    with torch.no_grad():
        means = [model.posterior({m: batch.x[m] for m in g}).point().cpu() for g in givens]
    centre, directions, share = principal_directions(means[0])
    classes = names = None
    coloured = ""
    known = None if material.label is None else material.trained.codecs[material.label].classes
    if known is not None and len(known) <= _MOST_CLASSES:
        names, classes = known, material.classes_of(batch)
        coloured = f", coloured by {material.label}"
    figure = new_figure(4.0 * len(givens) + 0.8, 4.0)
    panels = figure.subplots(1, len(givens), sharex=True, sharey=True, squeeze=False)[0]
    for panel, given, mean in zip(panels, givens, means, strict=True):
        scatter(panel, (mean - centre) @ directions, classes, names)
        panel.set_title(given_name(given, model.modalities), fontsize=10)
        panel.set_xlabel("first direction", fontsize=8)
        panel.tick_params(labelsize=8)
    panels[0].set_ylabel("second direction", fontsize=8)
    if names is not None:
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8
        )
    caption = (
        f"Posterior means of {len(batch)} items{coloured}, projected onto the first two principal "
        f"directions of the joint ones, which hold {share:.0%} of their variance; the same "
        f"projection and scale in each panel. " + material.origin
    )
    return [Picture("latent", "Latent map", caption, png(figure))]


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


def scatter(
    panel: Any, points: Tensor, classes: Tensor | None, names: tuple[str, ...] | None
) -> None:
    """Points (n, 2), each class with a colour and marker of its own."""
    if classes is None or names is None:
        panel.scatter(*points.T.tolist(), s=8, color=OKABE_ITO[0], alpha=0.6, linewidths=0)
        return
    styles = class_styles(len(names))
    for k, (name, (colour, marker)) in enumerate(zip(names, styles, strict=True)):
        here = points[classes == k]
        panel.scatter(
            *here.T.tolist(),
            s=14,
            color=colour,
            marker=marker,
            alpha=0.75,
            linewidths=0,
            label=name,
        )
