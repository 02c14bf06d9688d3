"""Retrieval: the nearest items across modalities, by the means of q(z|x_S)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.data.missing import presence
from mmvae.data.source import Split
from mmvae.foundations.errors import DataError
from mmvae.foundations.surroundings import undisturbed
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.subsets import Subset, canonical, subset_name

QUERIES, CANDIDATES = 512, 8192
"""Number of queries and of candidates compared at once."""

DEPTHS = (1, 5, 10)
"""Recall is reported at these numbers of candidates."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Found:
    """The result of a retrieval.

    Attributes:
        queries: Ids of the query items, (n,).
        ids: Ids of the nearest candidates of each, the nearest first, (n, k).
        distances: Their Euclidean distances in z, float32 (n, k).
        candidates: Number of candidates.
        ranks: Rank of each query's own item among the candidates, from 1, float64 (r,); candidates
            at equal distance share their mean rank. None if the candidates are other items.
        tied: Number of candidates at its own distance, itself included, float64 (r,); likewise.
    """

    queries: Array
    ids: Array
    distances: Array
    candidates: int
    ranks: Array | None
    tied: Array | None

    def figures(self) -> dict[str, float]:
        """``recall@1``, ``recall@5``, ``recall@10`` and ``median rank``; empty without ranks.

        Recall is the expected value if candidates at equal distance come in random order.
        """
        if self.ranks is None or self.tied is None or not len(self.ranks):
            return {}
        nearer = self.ranks - (self.tied + 1) / 2
        shares = {k: ((k - nearer) / self.tied).clip(0, 1) for k in DEPTHS}
        found = {f"recall@{k}": float(share.mean()) for k, share in shares.items()}
        return found | {"median rank": float(np.median(self.ranks))}


@undisturbed()
def retrieve(
    trained: TrainedModel,
    items: Split,
    query: str | Sequence[str],
    source: str | Sequence[str],
    count: int = 10,
    among: Split | None = None,
) -> Found:
    """Find, for each item, the nearest items: query by some modalities, candidates by others.

    Args:
        trained: The model.
        items: The query items; those that lack a modality of ``query`` are left out.
        query: The modalities S of the query: its z is the mean of q(z|x_S).
        source: The modalities of the candidates; items that lack one are no candidates.
        count: k, the number to find; all candidates if they are fewer.
        among: The candidates; default: ``items`` themselves, and then an item never finds itself
            by the same modalities.

    Raises:
        UsageError: An unknown modality, or one without a posterior.
        DataError: No item has the modalities of the query, or of the candidates.
    """
    by, of = (canonical(names, trained.modalities) for names in (query, source))
    gallery = items if among is None else among
    asking, queries = embedded(trained, items, by, "query")
    there, candidates = embedded(trained, gallery, of, "from")
    itself = among is None and by == of
    places = np.full(len(items), -1)
    places[there if among is None else []] = np.arange(len(there)) if among is None else []
    own = torch.from_numpy(places[asking]) if among is None else None
    index, distances = nearest(queries, candidates, count, own if itself else None)
    ranks = tied = None
    if own is not None and not itself:
        both = own >= 0
        placed = ranks_of(queries[both], candidates, own[both])
        ranks, tied = (values.numpy() for values in placed)
    ids = np.asarray(gallery.ids)[there]
    asked = np.asarray(items.ids)[asking]
    return Found(asked, ids[index.numpy()], distances.numpy(), len(there), ranks, tied)


def embedded(
    trained: TrainedModel, items: Split, given: Subset, option: str
) -> tuple[Array, Tensor]:
    """Rows of the items that have the given modalities, and their posterior means (n, d).

    Raises:
        DataError: No item has them.
    """
    rows = np.flatnonzero(presence(items, trained.names(items, given)).all(1))
    if not len(rows):
        raise DataError(
            f"--{option} {subset_name(given).replace('+', ',')}: none of the {len(items)} items "
            f"has all of it. Name modalities that they have."
        )
    return rows, trained.embed(items.take(rows), given)


def nearest(
    queries: Tensor, candidates: Tensor, count: int, excluded: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The nearest candidates of each query, by exact search in blocks.

    Args:
        queries: (n, d).
        candidates: (m, d).
        count: k.
        excluded: For each query a candidate that is excluded, (n,); −1 for none.

    Returns:
        Their indices (n, k) and distances (n, k), the nearest first; ties by index.
    """
    k = min(count, len(candidates) - (excluded is not None))
    indices, distances = [], []
    for part, others in blocks(queries, excluded):
        best = torch.full((len(part), 0), torch.inf)
        where = torch.zeros(len(part), 0, dtype=torch.int64)
        for start in range(0, len(candidates), CANDIDATES):
            block = between(part, candidates[start : start + CANDIDATES])
            if others is not None:
                rows = ((others >= start) & (others < start + CANDIDATES)).nonzero().flatten()
                block[rows, others[rows] - start] = torch.inf
            places = torch.arange(start, start + block.shape[1]).expand_as(block)
            both = torch.cat([best, block], 1)
            order = both.argsort(dim=1, stable=True)[:, :k]
            best = both.gather(1, order)
            where = torch.cat([where, places], 1).gather(1, order)
        indices.append(where)
        distances.append(best)
    return torch.cat(indices), torch.cat(distances)


def ranks_of(queries: Tensor, candidates: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """The rank of each query's own candidate, from 1, and the number at its distance.

    Candidates at equal distance share their mean rank, so that a model that maps all items to one
    point is right by chance only. Both are float64 (n,).
    """
    ranks, shared = [], []
    for part, theirs in blocks(queries, own):
        assert theirs is not None
        goal = between(part[:, None], candidates[theirs][:, None])[:, 0]
        nearer, tied = torch.zeros(2, len(part), dtype=torch.float64)
        for start in range(0, len(candidates), CANDIDATES):
            block = between(part, candidates[start : start + CANDIDATES])
            nearer += (block < goal).sum(1)
            tied += (block == goal).sum(1)
        ranks.append(nearer + (tied + 1) / 2)
        shared.append(tied)
    none = torch.zeros(0, dtype=torch.float64)
    return torch.cat([none, *ranks]), torch.cat([none, *shared])


def blocks(queries: Tensor, other: Tensor | None) -> list[tuple[Tensor, Tensor | None]]:
    """Divide queries into blocks, with the corresponding rows of another tensor."""
    return [
        (queries[i : i + QUERIES], None if other is None else other[i : i + QUERIES])
        for i in range(0, len(queries), QUERIES)
    ]


def between(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances (…, n, m) of (…, n, d) and (…, m, d), computed pair by pair."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
