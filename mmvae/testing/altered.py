"""Checks of altered examples: a gap, a fraction, other capitals, names in another order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.foundations.errors import short
from mmvae.modalities import returned
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.testing.contract import needs, not_tried, require
from mmvae.testing.subject import REFUSALS, CodecSubject, input_of

MOST = 1e5
"""Largest whole number to which a half is added: float32 holds the sum."""

DECLARES_LOSSES = "it declares restores = False"

Array = np.ndarray[Any, Any]


class AlteredChecks(CodecSubject):
    """Values near the examples that a codec may take for others without a message."""

    @needs("test_values_outside_the_support_are_refused")
    def test_nan_is_not_read_as_a_number(self) -> None:
        """NaN among numbers is refused, or is an unobserved cell.

        The core refuses observed model input that is NaN.
        """
        codec, column = self.fitted()
        numbers = _numbers(column)
        if numbers is None:
            not_tried("raw values are no array of numbers")
        for cell in sorted({0, numbers[0].size - 1}):
            raw = numbers[:1].astype(np.float64)
            raw.reshape(1, -1)[0, cell] = np.nan
            try:
                x, observed = codec.prepare(replace(column, values=raw))
                given = codec.to_input(x)
            except REFUSALS:
                continue
            wants = f"{short(raw[0].tolist())} refused, or its NaN unobserved"
            got = f"the model input {short(given[0].tolist())}, all observed"
            remedy = "Raise UnsupportedValue, or return observed, False where raw values are NaN."
            gap = observed is not None and not bool(observed.all())
            require(gap or not bool(given.isfinite().all()), wants, got, remedy)

    @needs("test_restored_values_are_the_raw_ones", "test_doubts_name_rows_and_say_what")
    def test_fractions_are_not_cut_off(self) -> None:
        """If examples are whole numbers, these plus a half are refused, reported or kept.

        They are lost if the model input is that of a whole number beside them.
        """
        codec, column = self.fitted()
        numbers = _numbers(column)
        whole = [] if numbers is None else [row for row, v in enumerate(numbers) if _whole(v)]
        if numbers is None or not whole:
            return
        if not self.restores:
            not_tried(DECLARES_LOSSES)
        values = numbers[whole].astype(np.float64)
        for row in values:
            altered = replace(column, values=row[None] + 0.5)
            x = _taken(codec, altered)
            beside = [_taken(codec, replace(column, values=row[None] + k)) for k in (0.0, 1.0)]
            kept = [other for other in beside if other is not None]
            if x is None or not kept:
                continue
            lost = bool(torch.stack([x == other for other in kept]).any(0).all())
            _require_kept(codec, altered, lost, "the model input of whole numbers")

    @needs("test_restored_values_are_the_raw_ones", "test_doubts_name_rows_and_say_what")
    def test_capitals_are_not_changed(self) -> None:
        """Texts with capitals and small letters exchanged are refused, reported or kept.

        They are lost if the model input is that of the text itself.
        """
        codec, column = self.fitted()
        if not all(isinstance(text, str) for text in column.values):
            return
        if not self.restores:
            not_tried(DECLARES_LOSSES)
        for row, text in enumerate(column.values):
            swapped = str(text).swapcase()
            if swapped == text:
                continue
            altered = replace(column.take([row]), values=_like(column.values, swapped))
            x, own = _taken(codec, altered), input_of(codec, column.take([row]))
            lost = x is not None and torch.equal(x, own)
            _require_kept(codec, altered, lost, f"the model input of {short(str(text))}")

    @needs("test_restored_values_are_the_raw_ones", "test_doubts_name_rows_and_say_what")
    def test_ends_of_texts_are_not_cut_off(self) -> None:
        """Longer texts, and texts with blanks around them, are refused, reported or kept.

        They are lost if two different texts have the same model input.
        """
        codec, column = self.fitted()
        if not all(isinstance(text, str) for text in column.values):
            return
        if not self.restores:
            not_tried(DECLARES_LOSSES)
        text = max(map(str, column.values), key=len)
        seen = [(text, _taken(codec, replace(column, values=_like(column.values, text))))]
        for other in (f" {text}", f"{text} ", 2 * text, 3 * text, 4 * text):
            altered = replace(column, values=_like(column.values, other))
            x = _taken(codec, altered)
            if x is None:
                continue
            for known, own in seen:
                lost = own is not None and torch.equal(x, own)
                _require_kept(codec, altered, lost, f"the model input of {short(known)}")
            seen.append((other, x))

    @needs("test_names_of_cells_keep_their_places")
    def test_prepare_follows_the_names_of_cells(self) -> None:
        """Cells in another order, with their names, give the same model input, or are refused."""
        codec, column = self.fitted()
        numbers, names = _numbers(column), column.names
        cells = numbers is not None and numbers.ndim == 2 and names is not None
        if numbers is None or names is None or not cells or len(names) != numbers.shape[1]:
            return
        x, observed = codec.prepare(column)
        orders = [list(range(len(names)))[::-1], [*range(1, len(names)), 0]]
        for order in orders:
            moved = replace(
                column, values=numbers[:, order], names=tuple(names[cell] for cell in order)
            )
            if order == sorted(order) or same_cells(numbers, order):
                continue
            try:
                found, mask = codec.prepare(moved)
            except REFUSALS:
                continue
            wants = f"cells named {short(moved.names)} to be read by their names, as those named "
            wants += f"{short(names)} are: {short(x[0].tolist())}; or refused"
            remedy = "Sort the cells by name, or call Column.check_names."
            alike = torch.equal(found, x) and _masks_alike(mask, observed)
            require(alike, wants, short(found[0].tolist()), remedy)


def same_cells(numbers: Array, order: list[int]) -> bool:
    """True if a column has the same numbers in another order of cells."""
    return bool(np.array_equal(numbers, numbers[:, order], equal_nan=numbers.dtype.kind == "f"))


def _masks_alike(first: Tensor | None, second: Tensor | None) -> bool:
    if first is None or second is None:
        other = second if first is None else first
        return other is None or bool(other.all())
    return torch.equal(first, second)


def _numbers(column: Column) -> Array | None:
    """Raw values as an array of real numbers; None if they are something else."""
    values = column.values
    if isinstance(values, list) and all(type(v) in (int, float) for v in values):
        values = np.array(values)
    real = isinstance(values, np.ndarray) and values.dtype.kind in "iuf" and values.size > 0
    return values if real else None


def _whole(row: Any) -> bool:
    numbers = np.asarray(row)
    return bool((numbers == np.floor(numbers)).all() and (np.abs(numbers) <= MOST).all())


def _taken(codec: Codec, column: Column) -> Tensor | None:
    """Model input, or None if prepare refuses the values."""
    try:
        return input_of(codec, column)
    except REFUSALS:
        return None


def _like(values: Any, text: str) -> Any:
    if not isinstance(values, np.ndarray):
        return [text]
    return np.array([text], object if values.dtype == object else None)


def _require_kept(codec: Codec, altered: Column, lost: bool, got: str) -> None:
    if lost and not list(returned.doubts(codec.doubts(altered), len(altered))):
        value = short(np.asarray(altered.values[0]).tolist())
        wants = f"{value} refused, reported by doubts, or kept"
        remedy = "If prepare must lose this, set restores = False in the test class."
        require(False, wants, got, remedy)
