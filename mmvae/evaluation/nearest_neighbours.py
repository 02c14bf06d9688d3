"""The nearest-neighbour probe: how well a latent z separates classes.

It has no weights, so it adds no skill of its own. An item gets the class that most of the
nearest neighbours of its z have, among z of training items other than the item itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

NEIGHBOURS = 15
CELLS = 2**24
"""Number of distances in memory at once: 64 MiB in float32."""


@torch.no_grad()
def nearest_classes(
    points: Tensor, known: Tensor, classes: Tensor, neighbours: int = NEIGHBOURS
) -> Tensor:
    """The class that most of the nearest neighbours of each point have, bool (n, kinds).

    Each point gets one class, unless several tie. Neighbours at the same distance as the last one
    share its vote. Among classes with equal votes the one with the nearest neighbour wins. So the
    answer does not depend on the order of the items.

    Args:
        points: The points to classify, (n, d).
        known: Points whose class is known, (m, d).
        classes: Their classes, int64 (m,), from 0.
        neighbours: Number of neighbours that vote; all m, if they are fewer.
    """
    kinds, count = int(classes.max()) + 1, min(neighbours, len(known))
    rows = max(1, CELLS // len(known))
    parts = torch.split(points, rows)
    return torch.cat([_leading(torch.cdist(x, known), classes, kinds, count) for x in parts])


def _leading(apart: Tensor, classes: Tensor, kinds: int, count: int) -> Tensor:
    """Apply :func:`nearest_classes` to distances (b, m)."""
    near = apart.topk(count, largest=False)
    last, seen = near.values[:, -1:], classes[near.indices]
    inside, edge = near.values < last, apart == last
    votes = seen.new_zeros(len(apart), kinds).scatter_add_(1, seen, inside.long())
    # In integers: a vote inside counts once per item at the edge; a vote of an item at the edge
    # counts once per remaining place.
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
    """1 where a point's nearest neighbours show its true class, else 0, float32 (n,).

    If k classes tie and the true one is among them, the value is 1/k.

    Args:
        points: Latents of items, (n, d).
        truth: Their classes, int64 (n,).
        known: Latents of training items, none of them among ``points``, (m, d).
        classes: Their classes, int64 (m,).
        neighbours: See :func:`nearest_classes`.
    """
    predicted = nearest_classes(points, known, classes, neighbours)
    right = predicted.new_zeros(len(truth))
    among = truth < predicted.shape[1]  # no known item may be of its class
    right[among] = predicted[among].gather(1, truth[among, None]).squeeze(1)
    return right.float() / predicted.sum(1)
