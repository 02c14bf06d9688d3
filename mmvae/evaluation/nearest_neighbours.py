"""The nearest-neighbour probe: how well a latent z tells classes apart, as a number.

It has no weights, so it adds no skill of its own: z of an item gets the class that most of its
nearest neighbours among z of training items have. The item itself must not be among those.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 15
CELLS = 2**24
"""Distances that are held at once: 64 MiB in float32."""


@torch.no_grad()
def nearest_classes(
    points: Tensor, known: Tensor, classes: Tensor, neighbours: int = NEIGHBOURS
) -> Tensor:
    """The class that most of the nearest neighbours of each point have, bool (n, kinds).

    It is one class of each point, unless there is nothing to decide between several: what is at
    the distance of the last neighbour shares its place, and of classes with as many votes those
    lead whose nearest neighbour is nearest. So no answer depends on the order of the items.

    Args:
        points: What is to be classified, (n, d).
        known: Points whose class is known, (m, d).
        classes: Their classes, int64 (m,), from 0.
        neighbours: How many neighbours vote; all m, if they are fewer.
    """
    kinds, count = int(classes.max()) + 1, min(neighbours, len(known))
    rows = max(1, CELLS // len(known))
    parts = torch.split(points, rows)
    return torch.cat([_leading(torch.cdist(x, known), classes, kinds, count) for x in parts])


def _leading(apart: Tensor, classes: Tensor, kinds: int, count: int) -> Tensor:
    """As :func:`nearest_classes`, of distances (b, m)."""
    near = apart.topk(count, largest=False)
    last, seen = near.values[:, -1:], classes[near.indices]
    inside, edge = near.values < last, apart == last
    votes = seen.new_zeros(len(apart), kinds).scatter_add_(1, seen, inside.long())
    # In whole numbers: each vote within counts as often as there are items at the edge, and each
    # of these as often as there are places for them.
    items, places = edge.sum(1, keepdim=True), count - inside.sum(1, keepdim=True)
    point, item = edge.nonzero(as_tuple=True)
    votes = (votes * items).index_put_(
        (point, classes[item]), places.flatten()[point], accumulate=True
    )
    most = votes == votes.amax(1, keepdim=True)
    nearest = last.expand(-1, kinds).scatter_reduce(1, seen, near.values, "amin")
    nearest = nearest.masked_fill(~most, torch.inf)
    return most & (nearest == nearest.amin(1, keepdim=True))


def probe(
    points: Tensor,
    truth: Tensor,
    known: Tensor,
    classes: Tensor,
    neighbours: int = NEIGHBOURS,
) -> Tensor:
    """Whether each point's nearest neighbours show its true class, float32 (n,).

    Where they leave several classes, the share that a guess among them gets.

    Args:
        points: Latents of items, (n, d).
        truth: Their classes, int64 (n,).
        known: Latents of training items, none of them among ``points``, (m, d).
        classes: Their classes, int64 (m,).
        neighbours: See :func:`nearest_classes`.
    """
    told = nearest_classes(points, known, classes, neighbours)
    right = told.new_zeros(len(truth))
    among = truth < told.shape[1]  # no known item may be of its class
    right[among] = told[among].gather(1, truth[among, None]).squeeze(1)
    return right.float() / told.sum(1)
