r"""Likelihood queries over the items of a split (T10).

A marginal or joint query is one importance-weighted bound. A conditional of a model that does not
condition natively is the difference of two bounds, an estimate:

.. math::
    \log p(x_T|x_G) \approx \log \hat p(x_T, x_G) - \log \hat p(x_G)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mmvae.data.batches import Batches
from mmvae.evaluation.bounds import ROWS, Evidence, estimates
from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.items import spanned
from mmvae.evaluation.memory import bytes_per_row, rows_within
from mmvae.evaluation.partial_results import PartialResults
from mmvae.evaluation.query import Cell, cell_name, posterior_name
from mmvae.evaluation.standardised import KEY, SUFFIX, added_nats
from mmvae.evaluation.statistics import mean_and_error
from mmvae.evaluation.weight_sum import Estimate
from mmvae.foundations.errors import NonFinite
from mmvae.foundations.progress import NOBODY, Progress
from mmvae.modalities.subsets import Subset
from mmvae.models.base import Model

EFFECTIVE = " effective samples"
GIVEN = " of what is given"


@dataclass(frozen=True)
class Difference:
    """The evidences of a likelihood query: log p̂ of the first, minus that of a second if any."""

    whole: Evidence
    given: Evidence | None = None

    def nats(self, found: Mapping[Evidence, Estimate]) -> Tensor:
        """The value of the query per item, (b,)."""
        whole = found[self.whole].nats
        return whole if self.given is None else whole - found[self.given].nats


def difference(cell: Cell, model: Model, config: EvaluateConfig) -> Difference:
    """The evidences that make up a likelihood query."""
    k = config.samples
    if not cell.given or model.conditional:
        return Difference(Evidence(cell.targets, cell.given, cell.proposal, k))
    together = tuple(m for m in model.modalities if m in cell.targets or m in cell.given)
    given_by = cell.given if config.given_from == "posterior" else None
    less = Evidence(cell.given, (), given_by, config.given_samples or k)
    return Difference(Evidence(together, (), cell.proposal, k), less)


def likelihoods(
    model: Model,
    batches: Batches,
    cells: Sequence[Cell],
    config: EvaluateConfig,
    partial: PartialResults,
    progress: Progress = NOBODY,
) -> tuple[str, ...]:
    """Compute this process's share of some likelihood queries into partial results.

    Chunk size, memory and the number of processes change values only by rounding, because samples
    belong to items.

    Args:
        model: The model, in evaluation mode.
        batches: The split.
        cells: The queries to compute; the model supports them.
        config: ``batch_size``, ``samples``, ``given_from``, ``given_samples``, ``memory``,
            ``seed``.
        partial: Receives ``cell name`` → nats and ``cell name effective samples``, float64 per
            item; for a difference also the effective samples of the given modalities; and for
            targets whose codec standardises ``cell name standardised``. They are NaN for items
            that lack a modality of the query.
        progress: Reports progress.

    Returns:
        The names of the values.

    Raises:
        UsageError: ``memory`` does not suffice for one sample.
    """
    if not cells:
        return ()
    made = {cell: difference(cell, model, config) for cell in cells}
    evidences = [e for d in made.values() for e in (d.whole, d.given) if e is not None]
    rows = rows_in_memory(model, batches, evidences, config)
    size = min(config.batch_size, rows)
    names = tuple(
        name for cell, made_of in made.items() for name in value_names(cell, made_of, model)
    )
    todo = list(partial.missing(len(batches), config.batch_size, names))
    total = sum(span.stop - span.start for span in todo)
    done = 0
    for span in todo:
        parts: dict[str, list[Tensor]] = {}
        for batch, draws in spanned(batches, span, size, config.seed):
            progress.part("likelihood queries", done, total)
            found = estimates(model, batch, evidences, draws, rows)
            for cell, evidence in made.items():
                name, has = cell_name(cell, model.modalities), batch.having(needs(cell, model))
                per_item = {name: evidence.nats(found)}
                added = added_nats(model.codecs, batch, cell.targets)
                if added is not None:
                    per_item[name + SUFFIX] = per_item[name] + added
                per_item[name + EFFECTIVE] = found[evidence.whole].effective
                if evidence.given is not None:
                    per_item[name + EFFECTIVE + GIVEN] = found[evidence.given].effective
                for key, values in per_item.items():
                    if has is not None:
                        values = torch.where(has.cpu(), values, torch.nan)
                    parts.setdefault(key, []).append(values)
            done += len(batch)
        partial.keep(span, {name: torch.cat(part) for name, part in parts.items()})
    progress.part("likelihood queries", total, total)
    return names


def value_names(cell: Cell, made_of: Difference, model: Model) -> tuple[str, ...]:
    """The names of the values per item that :func:`likelihoods` keeps for a query."""
    suffixes = ["", EFFECTIVE]
    if any(model.codecs[m].log_scale is not None for m in cell.targets):
        suffixes.append(SUFFIX)
    if made_of.given is not None:
        suffixes.append(EFFECTIVE + GIVEN)
    return tuple(cell_name(cell, model.modalities) + suffix for suffix in suffixes)


def needs(cell: Cell, model: Model) -> Subset:
    """The modalities that an item needs for a likelihood query.

    The joint posterior, as a proposal, takes an item with the modalities it has (T13).
    """
    proposal = () if cell.proposal == model.modalities else cell.proposal
    named = {*cell.targets, *cell.given, *proposal}
    return tuple(m for m in model.modalities if m in named)


def without_items(cells: Sequence[Cell], model: Model, batches: Batches) -> dict[Cell, str]:
    """The queries for which no item has the needed modalities, and why."""
    return {
        cell: f"no item of the split has {' and '.join(needs(cell, model))}"
        for cell in cells
        if not len(batches.items_with(needs(cell, model)))
    }


def rows_in_memory(
    model: Model, batches: Batches, evidences: Sequence[Evidence], config: EvaluateConfig
) -> int:
    """Number of samples, over all items, that fit into ``config.memory`` at once."""
    items = min(2, len(batches))  # with one sample, repeating makes no copy
    batch, draws = next(spanned(batches, slice(0, items), items, config.seed))

    def run(k: int) -> None:
        few = [Evidence(e.targets, e.given, e.proposal, k) for e in evidences]
        estimates(model, batch, few, draws, rows=k * items)

    return rows_within(config.memory, -(-bytes_per_row(run) // items), ROWS)


def summary(
    items: Mapping[str, Tensor],
    cells: Sequence[Cell],
    model: Model,
    config: EvaluateConfig,
    batches: Batches,
) -> dict[str, Any]:
    """Summarise likelihood queries: mean, error, sampling and number of items of each.

    Args:
        items: The values that :func:`likelihoods` put into partial results, for all items.
        cells: The queries.
        model: The model.
        config: As :func:`likelihoods`.
        batches: The split, with the modalities that each item has.

    Raises:
        NonFinite: A value is not finite; query and item are named.
    """
    found: dict[str, Any] = {}
    for cell in cells:
        name, parts = cell_name(cell, model.modalities), difference(cell, model, config)
        counted = batches.items_with(needs(cell, model))
        nats = items[name][counted]
        bad = (~torch.isfinite(nats)).nonzero().flatten()
        if len(bad):
            raise NonFinite(
                f"Evaluation: {name} is {float(nats[bad[0]])} for item {int(counted[bad[0]])} of "
                f"the split.",
                remedy="Look at the data with `mmvae data check`, or at the model's training.",
            )
        found[name] = mean_and_error(nats) | {
            "of": cell.of,
            "proposal": cell.sampler,
            "samples": config.samples,
            "effective samples": float(items[name + EFFECTIVE][counted].mean()),
            "bound": parts.given is None,
            "given from": None if parts.given is None else given_source(parts.given),
        }
        if name + SUFFIX in items:
            found[name][KEY] = mean_and_error(items[name + SUFFIX][counted])
        if parts.given is not None:
            effective = items[name + EFFECTIVE + GIVEN][counted].mean()
            found[name]["effective samples" + GIVEN] = float(effective)
        if len(counted) < len(batches):
            found[name]["items"] = len(counted)
    return found


def given_source(evidence: Evidence) -> str:
    """The source of the samples: ``"q(z | label), 1000 samples"``."""
    by = "prior" if evidence.proposal is None else posterior_name(evidence.proposal)
    return f"{by}, {evidence.samples} samples"


def variation_of_information(
    items: Mapping[str, Tensor], modalities: Sequence[str]
) -> dict[str, Any]:
    """−[log p(x|w) + log p(w|x)] of two modalities, nats per item (Appendix A of the paper).

    One value for each kind of proposal with both conditionals computed. The paper's appendix
    writes q(z) where p(z) is meant.
    """
    if len(modalities) != 2:
        return {}
    x, w = modalities
    found: dict[str, Any] = {}
    for kind in ("multiple", "single"):
        names = f"{x}|{w}@{kind}", f"{w}|{x}@{kind}"
        if all(name in items for name in names):
            found[kind] = _of_both(-(items[names[0]] + items[names[1]]))
            if any(name + SUFFIX in items for name in names):
                nats = [items.get(name + SUFFIX, items[name]) for name in names]
                found[kind][KEY] = _of_both(-(nats[0] + nats[1]))
    return found


def _of_both(nats: Tensor) -> dict[str, Any]:
    """Mean and error over the items that have both modalities."""
    return dict(mean_and_error(nats[~nats.isnan()]))
