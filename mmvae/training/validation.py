"""Terms of the objective over a whole split, without gradients: the same at every epoch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from accelerate import Accelerator
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.data.sampler import never_empty, share
from mmvae.foundations.randomness import ItemDraws
from mmvae.models.base import Model
from mmvae.training.term_means import check_finite, wide


@torch.no_grad()
def validate(
    model: Model,
    batches: Batches,
    batch_size: int,
    seed: int,
    accelerator: Accelerator,
    when: str = "in the validation",
) -> dict[str, float]:
    """Mean over items of the terms at full weight (β = γ = 1), one sample of z.

    An item gets the same noise at every call, for any chunk size, so that epochs are
    comparable. Each process takes its rows of every chunk.

    Args:
        model: The model itself, not wrapped.
        batches: The split.
        batch_size: Items per chunk, over all processes.
        seed: The run's seed.
        accelerator: For the sum over processes.
        when: The moment in the training, for messages.

    Returns:
        The first phase's terms by name, those of the model's further phases as ``PHASE/term``,
        nats per item; and ``objective``, the negative sum of the phases' losses.

    Raises:
        NonFinite: A term is not finite.
    """
    training = model.training
    model.eval()
    main, *further = (phase.name for phase in model.phases())
    names, n = list[str](), len(batches)
    totals: Tensor | None = None
    sound: list[tuple[int, Tensor]] = []
    for start in range(0, n, batch_size):
        size = min(batch_size, n - start)
        rows = share(size, accelerator.process_index, accelerator.num_processes)
        seen, count = never_empty(rows)
        chunk = slice(start + seen.start, start + seen.stop)
        draws = ItemDraws(seed, "validation", chunk, batches.device)
        batch = batches.fixed(chunk)
        terms = model.objective(main, batch, draws, 1.0)
        loss, named = terms.loss, dict(terms.named)
        for phase in further:
            terms = model.objective(phase, batch, draws, 1.0)
            loss = loss + terms.loss
            named |= {f"{phase}/{name}": value for name, value in terms.named.items()}
        names = ["loss", *named]
        rows_of = torch.stack([loss, *named.values()])[:, :count]
        sound.append((start + seen.start, rows_of.isfinite().all(0)))
        sums = rows_of.to(wide(rows_of.device)).sum(1)
        totals = sums if totals is None else totals + sums
    assert totals is not None
    totals = reduced(totals, accelerator)
    model.train(training)
    check_finite(totals[None], names, [when], "validation", lambda _: bad_items(sound))
    means = dict(zip(names, (totals / n).tolist(), strict=True))
    return {"objective": -means.pop("loss"), **means}


def bad_items(sound: Sequence[tuple[int, Tensor]]) -> list[int]:
    """The items with a term that is not finite, unless all have one.

    Args:
        sound: For each chunk its first item, and a mask of the items with finite terms, (b,).
    """
    rows = [first + torch.arange(len(finite)) for first, finite in sound]
    finite = torch.cat([finite.cpu() for _, finite in sound])
    return list(torch.cat(rows)[~finite].tolist()) if finite.any() else []


def reduced(values: Tensor, accelerator: Accelerator) -> Tensor:
    """Sum over processes."""
    if accelerator.num_processes == 1:
        return values
    total: Tensor = accelerator.reduce(values, "sum")
    return total
