"""Cells: the likelihood figures that a table can hold, and how they are written.

A cell is log p(x_T | x_G) by importance samples of q(z|x_P). As text it is ``T|G@P``: modalities
joined with ``+``, G left out for joint and marginal figures, P one of ``single`` (T of a marginal,
G of a conditional), ``multiple`` (all modalities) or any subset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmvae.errors import UsageError, nearest
from mmvae.models.protocol import Model
from mmvae.subsets import Subset, canonical, subset_name

STANDARD = "standard"
"""The word for all cells that :func:`standard_cells` gives."""

SYNTAX = (
    "expected TARGETS, TARGETS|GIVEN or either with @single, @multiple or @SUBSET, such as "
    "'image|label@single'"
)


@dataclass(frozen=True)
class Cell:
    """One figure: log p(x_T | x_G) by samples of q(z|x_P).

    Attributes:
        targets: T.
        given: G, empty for a joint or marginal figure.
        proposal: P.
    """

    targets: Subset
    given: Subset
    proposal: Subset

    @property
    def single(self) -> Subset:
        """The proposal that makes it a single figure."""
        return self.given or self.targets

    @property
    def of(self) -> str:
        """What it is a figure of: ``"log p(image | label)"``."""
        given = f" | {', '.join(self.given)}" if self.given else ""
        return f"log p({', '.join(self.targets)}{given})"

    @property
    def sampler(self) -> str:
        """Where its samples come from: ``"q(z | image, label)"``."""
        return posterior_name(self.proposal)


def posterior_name(subset: Subset) -> str:
    """``"q(z | image, label)"``."""
    return f"q(z | {', '.join(subset)})"


def parse_cell(text: str, modalities: Sequence[str]) -> list[Cell]:
    """The cells that a text names: without ``@P`` the multiple one and the single one.

    Raises:
        UsageError: The text is malformed, a modality is unknown, or T and G overlap.
    """
    figure, at, by = text.partition("@")
    targets_text, bar, given_text = figure.partition("|")
    targets = _subset(targets_text, text, modalities)
    given = _subset(given_text, text, modalities) if bar else ()
    if both := [m for m in targets if m in given]:
        raise UsageError(
            f"bounds: {text!r}: {', '.join(both)} is both a target and given; leave it out on one "
            f"side of '|'."
        )
    everything = tuple(modalities)
    multiple, single = Cell(targets, given, everything), Cell(targets, given, given or targets)
    by = by.strip()
    if at and by == "single":
        return [single]
    if at and by == "multiple":
        return [multiple]
    if at:
        return [Cell(targets, given, _subset(by, text, modalities, ("single", "multiple")))]
    return [multiple] if single == multiple else [multiple, single]


def _subset(
    names: str, text: str, modalities: Sequence[str], words: tuple[str, ...] = ()
) -> Subset:
    parts = [part.strip() for part in names.split("+")]
    if not all(parts):
        raise UsageError(f"bounds: {text!r}: a name is missing; {SYNTAX}.")
    for part in parts:
        if part not in modalities:
            known = (*modalities, *words)
            raise UsageError(
                f"bounds: {text!r}: there is no modality {part!r}, only {', '.join(modalities)}; "
                f"{SYNTAX}.{nearest(part, known)}"
            )
    return canonical(parts, modalities)


def cell_name(cell: Cell, modalities: Sequence[str]) -> str:
    """The text of a cell, one for each: ``image+label``, ``image@multiple``, ``…@a+b``."""
    everything, single = tuple(modalities), cell.single
    figure = subset_name(cell.targets) + (f"|{subset_name(cell.given)}" if cell.given else "")
    if cell.proposal == everything:
        return figure if single == everything else f"{figure}@multiple"
    return f"{figure}@{'single' if cell.proposal == single else subset_name(cell.proposal)}"


def cell_title(cell: Cell, modalities: Sequence[str]) -> str:
    """A cell for people: ``"log p(image | label), single"``."""
    _, at, by = cell_name(cell, modalities).partition("@")
    return f"{cell.of}, {by if by in ('single', 'multiple') else cell.sampler}" if at else cell.of


def standard_cells(
    model: Model, given_from: str = "posterior"
) -> tuple[list[Cell], dict[str, str]]:
    """The figures of the paper's tables for any number of modalities.

    The joint figure, each modality's marginal and each modality given all others, by samples of
    the joint posterior (multiple) and of the smaller one (single). Of a model that conditions
    natively: its one conditional.

    Args:
        model: The model.
        given_from: As ``evaluate.given_from``.

    Returns:
        The cells that the model can give, and for each other one by name why it can't.
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
    """The cells that ``evaluate.bounds`` names, each once, and why standard ones are left out.

    Raises:
        UsageError: A text is malformed, or the model can't give a figure that it names.
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
                raise UsageError(f"bounds: {text!r}: {reason}")
            cells.append(cell)
    return list(dict.fromkeys(cells)), left_out


def unsupported(cell: Cell, model: Model, given_from: str = "posterior") -> str | None:
    """Why a model can't give a cell, or None."""
    reason = model.supports(cell.targets, cell.given, cell.proposal)
    if reason is None and cell.given and not model.conditional and given_from == "posterior":
        reason = model.supports(cell.given, (), cell.given)
    return reason
