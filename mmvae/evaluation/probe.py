"""The nearest-neighbour probe: how well a latent z tells classes apart, as a number.

It has no weights, so it adds no skill of its own: z of an item gets the class that most of its
nearest neighbours among z of training items have. The item itself must not be among those.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NEIGHBOURS = 15
CELLS = 2**24
"""Distances that are held at once: 64 MiB in float32."""


@torch.no_grad()
def nearest_classes(
    points: Tensor, known: Tensor, classes: Tensor, neighbours: int = NEIGHBOURS
) -> Tensor:
    """The class that most of the nearest neighbours of each point have, int64 (n,).

    A tie goes to that of the classes in it whose neighbour is nearest.

    Args:
        points: What is to be classified, (n, d).
        known: Points whose class is known, (m, d).
        classes: Their classes, int64 (m,), from 0.
        neighbours: How many neighbours vote; all m, if they are fewer.
    """
    kinds = int(classes.max()) + 1
    rows = max(1, CELLS // len(known))
    found = []
    for part in torch.split(points, rows):
        near = torch.cdist(part, known).topk(min(neighbours, len(known)), largest=False).indices
        seen = classes[near]
        votes = F.one_hot(seen, kinds).sum(1)
        tied = votes == votes.amax(1, keepdim=True)
        first = tied.gather(1, seen).int().argmax(1, keepdim=True)
        found.append(seen.gather(1, first).squeeze(1))
    return torch.cat(found)


def probe(
    points: Tensor,
    truth: Tensor,
    known: Tensor,
    classes: Tensor,
    neighbours: int = NEIGHBOURS,
) -> Tensor:
    """Whether each point's nearest neighbours show its true class, float32 (n,).

    Args:
        points: Latents of items, (n, d).
        truth: Their classes, int64 (n,).
        known: Latents of training items, none of them among ``points``, (m, d).
        classes: Their classes, int64 (m,).
        neighbours: See :func:`nearest_classes`.
    """
    return (nearest_classes(points, known, classes, neighbours) == truth).float()
