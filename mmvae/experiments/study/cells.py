"""Likelihood queries of a study's tables, shared by rows as far as they have the modalities."""

from __future__ import annotations

from collections.abc import Sequence

from mmvae.evaluation.query import cell_name, parse_cell


def modalities_of(text: str) -> list[str]:
    """The modalities in the text of a query, in its order."""
    query, _, by = text.partition("@")
    sides = [*query.split("|"), *([] if by.strip() in ("", "single", "multiple") else [by])]
    return list(dict.fromkeys(part.strip() for side in sides for part in side.split("+")))


def check_cell(text: str) -> None:
    """Check that a query is well-formed, whatever modalities a row has.

    Raises:
        UsageError: It is not.
    """
    parse_cell(text, [name for name in modalities_of(text) if name])


def cells_of(text: str, modalities: Sequence[str]) -> list[str]:
    """The names under which an evaluation of a row stores the query ``text``.

    Empty if the row lacks a modality; two names if single and multiple differ and the text does
    not choose. For one modality ``image@single``, ``image@multiple`` and ``image`` are all
    ``image``.
    """
    if not set(modalities_of(text)) <= set(modalities):
        return []
    return [cell_name(cell, modalities) for cell in parse_cell(text, modalities)]
