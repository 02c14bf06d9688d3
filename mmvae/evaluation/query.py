"""Likelihood queries: the log-likelihoods that an evaluation can compute, and their notation.

A query is log p(x_T | x_G) by importance samples of q(z|x_P). Its text is ``T|G@P``: modalities
joined with ``+``, G left out for joint and marginal queries, P one of ``single`` (T of a
marginal, G of a conditional), ``multiple`` (all modalities) or any subset.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmvae.foundations.errors import UsageError, nearest, short
from mmvae.modalities.subsets import Subset, canonical, subset_name

STANDARD = "standard"
"""The word for all queries of :func:`mmvae.evaluation.queries.standard_cells`."""

SYNTAX = (
    "expected TARGETS, TARGETS|GIVEN or either with @single, @multiple or @SUBSET, such as "
    "'image|label@single'"
)


@dataclass(frozen=True)
class Cell:
    """A likelihood query: log p(x_T | x_G) by samples of q(z|x_P).

    Attributes:
        targets: T.
        given: G, empty for a joint or marginal query.
        proposal: P.
    """

    targets: Subset
    given: Subset
    proposal: Subset

    @property
    def single(self) -> Subset:
        """The proposal of a single query."""
        return self.given or self.targets

    @property
    def of(self) -> str:
        """The quantity that it estimates: ``"log p(image | label)"``."""
        given = f" | {', '.join(self.given)}" if self.given else ""
        return f"log p({', '.join(self.targets)}{given})"

    @property
    def sampler(self) -> str:
        """The distribution of its samples: ``"q(z | image, label)"``."""
        return posterior_name(self.proposal)


def posterior_name(subset: Subset) -> str:
    """The text of a posterior: ``"q(z | image, label)"``."""
    return f"q(z | {', '.join(subset)})"


def parse_cell(text: str, modalities: Sequence[str]) -> list[Cell]:
    """Parse a text to its queries: without ``@P`` both the multiple and the single one.

    Raises:
        UsageError: The text is malformed, a modality is unknown, or T and G overlap.
    """
    quantity, at, by = text.partition("@")
    targets_text, bar, given_text = quantity.partition("|")
    targets = _subset(targets_text, text, modalities)
    given = _subset(given_text, text, modalities) if bar else ()
    if both := [m for m in targets if m in given]:
        raise UsageError(
            f"{short(text)}: {', '.join(both)} is both a target and given; leave it out on one "
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
        raise UsageError(f"{short(text)}: a name is missing; {SYNTAX}.")
    for part in parts:
        if part not in modalities:
            known = (*modalities, *words)
            raise UsageError(
                f"{short(text)}: there is no modality {short(part)}, only "
                f"{', '.join(modalities)}; {SYNTAX}.{nearest(part, known)}"
            )
    return canonical(parts, modalities)


def cell_name(cell: Cell, modalities: Sequence[str]) -> str:
    """The canonical text of a query: ``image+label``, ``image@multiple``, ``…@a+b``."""
    everything, single = tuple(modalities), cell.single
    quantity = subset_name(cell.targets) + (f"|{subset_name(cell.given)}" if cell.given else "")
    if cell.proposal == everything:
        return quantity if single == everything else f"{quantity}@multiple"
    return f"{quantity}@{'single' if cell.proposal == single else subset_name(cell.proposal)}"


def cell_title(cell: Cell, modalities: Sequence[str]) -> str:
    """The title of a query for people: ``"log p(image | label), single"``."""
    _, at, by = cell_name(cell, modalities).partition("@")
    return f"{cell.of}, {by if by in ('single', 'multiple') else cell.sampler}" if at else cell.of


def check_cells(texts: Iterable[str], modalities: Sequence[str]) -> None:
    """Check that each text names queries of these modalities.

    Raises:
        UsageError: A text does not.
    """
    for text in texts:
        if text.strip() != STANDARD:
            parse_cell(text, modalities)
