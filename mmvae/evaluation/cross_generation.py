"""Cross-generation: predict any modality from any others and compare it with the truth."""

from __future__ import annotations

import torch
from torch import Tensor

from mmvae.data.batches import Batch
from mmvae.evaluation.elbo import shown_subsets
from mmvae.evaluation.statistics import Path
from mmvae.modalities.subsets import Subset, subset_name
from mmvae.models.base import Model
from mmvae.models.finite import finite_values


def arrow(given: str, target: str) -> str:
    """The name of a direction in results: ``"image → label"``."""
    return f"{given} → {target}"


@torch.no_grad()
def predictions(model: Model, batch: Batch, given: Subset) -> dict[str, Tensor]:
    """Each decoded modality's best value at the point estimate of q(z|x_S), shape (b, event…)."""
    known = {m: batch.x[m] for m in given}
    z = model.posterior(known).point()
    return {m: finite_values(model, m, z, known) for m in model.decoded}


def comparable(batch: Batch, given: Subset, modality: str) -> Tensor:
    """Mask of the items that have the given modalities and a complete true value, bool (b,)."""
    rows = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
    has, cells = batch.having((*given, modality)), batch.observed[modality]
    if has is not None:
        rows = rows & has
    return rows if cells is None else rows & cells.flatten(1).all(1)


@torch.no_grad()
def cross_generation(model: Model, batch: Batch) -> dict[Path, Tensor]:
    """Compare each modality with its prediction from each shown subset and from all, per item.

    Returns:
        ``("given", S, m, statistic)`` for the statistics of codec m's ``compare``, with m in S too
        (reconstruction); ``("accuracy", "S → c")`` for modalities c outside S that have classes.
        Each covers the items that have S and m, with every cell of m observed.
    """
    found: dict[Path, Tensor] = {}
    for given in [*shown_subsets(model), model.modalities]:
        name = subset_name(given)
        for m, prediction in predictions(model, batch, given).items():
            codec, rows = model.codecs[m], comparable(batch, given, m)
            prediction, truth = prediction[rows], batch.x[m][rows]
            if not len(truth):
                continue
            for statistic, values in codec.compare(prediction, truth).items():
                found["given", name, m, statistic] = values
            if codec.classes is not None and m not in given:
                right = codec.class_index(prediction) == codec.class_index(truth)
                found["accuracy", arrow(name, m)] = right.float()
    return found
