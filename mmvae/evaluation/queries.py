"""The likelihood queries of an evaluation: the standard ones, or those that a config names."""

from __future__ import annotations

from collections.abc import Sequence

from mmvae.evaluation.query import STANDARD, Cell, cell_name, parse_cell
from mmvae.foundations.errors import UsageError
from mmvae.models.base import Model


def standard_cells(
    model: Model, given_from: str = "posterior"
) -> tuple[list[Cell], dict[str, str]]:
    """The likelihood queries of the paper's tables for any number of modalities.

    The joint likelihood, each modality's marginal and each modality given all others, by samples
    of the joint posterior (multiple) and of the smaller one (single). For a model that conditions
    natively: its one conditional.

    Args:
        model: The model.
        given_from: As ``evaluate.given_from``.

    Returns:
        The queries that the model can answer; for each other one, by name, the reason.
    """
    names, everything = model.modalities, model.modalities
    if model.conditional:
        wanted = [Cell(model.decoded, tuple(m for m in names if m not in model.decoded), names)]
    else:
        wanted = [Cell(everything, (), everything)]
        wanted += [Cell((m,), (), p) for m in names for p in (everything, (m,))]
        for m in names:
            rest = tuple(other for other in names if other != m)
            wanted += [Cell((m,), rest, p) for p in (everything, rest) if rest]
    cells, left_out = [], {}
    for cell in dict.fromkeys(wanted):
        reason = unsupported(cell, model, given_from)
        if reason is None:
            cells.append(cell)
        else:
            left_out[cell_name(cell, names)] = reason
    return cells, left_out


def parse_cells(
    texts: Sequence[str], model: Model, given_from: str = "posterior"
) -> tuple[list[Cell], dict[str, str]]:
    """Parse ``evaluate.bounds``: its queries, each once, and why standard ones are left out.

    Raises:
        UsageError: A text is malformed, or the model can't answer a query that it names.
    """
    cells: list[Cell] = []
    left_out: dict[str, str] = {}
    for text in texts:
        if text.strip() == STANDARD:
            more, left_out = standard_cells(model, given_from)
            cells += more
            continue
        for cell in parse_cell(text, model.modalities):
            reason = unsupported(cell, model, given_from)
            if reason is not None:
                raise UsageError(f"{text!r}: {reason}")
            cells.append(cell)
    return list(dict.fromkeys(cells)), left_out


def unsupported(cell: Cell, model: Model, given_from: str = "posterior") -> str | None:
    """The reason why a model can't answer a likelihood query, or None."""
    reason = model.supports(cell.targets, cell.given, cell.proposal)
    if reason is None and cell.given and not model.conditional and given_from == "posterior":
        reason = model.supports(cell.given, (), cell.given)
    return reason
