"""Checks of a codec's values: raw, prepared, restored and shown."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmvae.foundations.errors import LONG, UnsupportedValue, short
from mmvae.modalities import returned
from mmvae.modalities.codec import Codec, Column, LazyValues, model_input
from mmvae.testing.contract import ContractBroken, needs, not_tried, require, require_offer
from mmvae.testing.subject import (
    CodecSubject,
    N,
    generator,
    global_seed,
    input_of,
    likelihood_of,
    same,
)

EVENT = "(b, event…)"


class ValueChecks(CodecSubject):
    """Values that go into a codec and come out of it."""

    def test_declarations(self) -> None:
        """Kind, config class, and the dimensions and scales known once fitted."""
        codec, _ = self.fitted()
        require_offer("codec", type(codec))
        require(isinstance(codec.config, codec.Config), "a config of Config", type(codec.config))
        returned.declared(codec)

    def test_prepared_values_have_the_event_shape(self) -> None:
        """Prepared values, model input, conditions, stand-ins and observed cells."""
        codec, column = self.fitted()
        x, observed = returned.pair(codec, codec.prepare(column), N)
        shape = (N, *codec.event_shape)
        returned.shaped("prepare", x, shape, EVENT)
        require(not x.requires_grad, "prepare without weights", "a gradient", returned.OWN_WEIGHTS)
        self._says_what_is_missing(column, observed)
        given = codec.to_input(x)
        returned.model_values("to_input", given, x)
        finite = given.isfinite() if observed is None else given.isfinite() | ~observed
        require(bool(finite.all()), "to_input to be finite where cells are observed", "NaN")
        blank = codec.missing(N)
        returned.tensor("missing", blank, shape, EVENT)
        returned.float32("missing", blank)
        given = model_input(codec, x, observed)
        views: dict[str, Tensor] = {
            "condition": codec.condition(column),
            "resample": codec.resample(given.clone(), generator()),
            "fixed": codec.fixed(given.clone(), generator()),
        }
        for name, value in views.items():
            returned.tensor(name, value, shape, EVENT)
            returned.model_values(name, value, given)

    def _says_what_is_missing(self, column: Column, observed: Tensor | None) -> None:
        """A cell of raw numbers that is NaN is not observed."""
        raw = column.values
        if not isinstance(raw, np.ndarray) or raw.dtype.kind != "f" or not np.isnan(raw).any():
            return
        there = torch.from_numpy(~np.isnan(raw))
        wanted = "observed cells, False where raw values are NaN"
        require(observed is not None, wanted, "None: all are observed")
        fits = observed is not None and observed.shape == there.shape
        require(not fits or torch.equal(there, observed.cpu()), wanted, observed)  # type: ignore[union-attr]

    def test_conditions_are_prepared_alike(self) -> None:
        """A value that a user gives is read like data: same value, same encoder input."""
        codec, column = self.fitted()
        x, given = input_of(codec, column), codec.condition(column)
        close = torch.allclose(x, given, atol=1e-5)
        require(close, f"condition to give prepared values {x}", given)

    def test_values_outside_the_support_are_refused(self) -> None:
        """UnsupportedValue names the row, the value and what was expected."""
        codec, _ = self.fitted()
        columns = self.invalid_columns()
        if not columns:
            not_tried("no invalid values to try: name some in the examples")
        for name, column in columns:
            wants = f"{name}: prepare to raise UnsupportedValue with a row"
            try:
                x, _ = codec.prepare(column)
            except UnsupportedValue as error:
                row = error.row
                require(row is not None and 0 <= row < len(column), wants, f"row {row}: {error}")
                require(bool(error.expected), f"{name}: what was expected", "an empty phrase")
            except Exception as error:  # any other kind is the violation to report
                raise ContractBroken(f"Wanted {wants}; got {error!r}.") from error
            else:
                raise ContractBroken(f"Wanted {wants}; got {x}.")

    def test_fit_takes_values_unread(self) -> None:
        """Values larger than memory come unread, and teach the same as read ones."""
        column = self.make_column(N, 0)
        recipe = self.make_codec()
        learned = dict(recipe.fit(column))
        wants = f"fit to learn {learned} of values unread too (column.read() reads them)"
        try:
            again = dict(recipe.fit(Column(Unread(column), column.names)))
        except Exception as error:  # any kind is the violation to report
            raise ContractBroken(f"Wanted {wants}; got {error!r}.") from error
        alike = learned.keys() == again.keys() and all(same(learned[k], again[k]) for k in learned)
        require(alike, wants, again)

    def test_raw_values_are_not_edited(self) -> None:
        """No method changes the user's values: valid, at the edges, far out, or refused."""
        codec, column = self.fitted()
        recipe = self.make_codec()
        calls: dict[str, Callable[[Column], object]] = {
            "prepare": codec.prepare,
            "condition": codec.condition,
            "doubts": lambda raw: list(codec.doubts(raw)),
            "fit": recipe.fit,
        }
        tried = [column, *far_columns(column)]
        tried += [raw for _, raw in (*self.edge_columns(), *self.invalid_columns())]
        for name, call in calls.items():
            for raw in tried:
                given = copy.deepcopy(raw)
                with suppress(Exception):  # what fails is told by the check meant for it
                    call(given)
                alike = same(given.values, raw.values)
                wants = f"raw values left as they are by {name}: {short(raw.values)}"
                require(alike, wants, short(given.values), "Copy the values before you edit them.")

    def test_prepare_is_a_function_of_each_row(self) -> None:
        """The same values whatever else is prepared and drawn."""
        codec, column = self.fitted()
        with global_seed(1):
            x, _ = codec.prepare(column)
        with global_seed(2):
            again, _ = codec.prepare(column)
        require(torch.equal(x, again), "prepare to be deterministic", f"{x}, then {again}")
        rows = np.array([3, 1])
        alone, _ = codec.prepare(column.take(rows))
        require(torch.equal(alone, x[rows]), f"rows 3, 1 alone to give {x[rows]}", alone)

    @needs("test_doubts_name_rows_and_say_what")
    def test_numbers_far_out_stay_apart_or_are_refused(self) -> None:
        """Two numbers far from the others are two model inputs, unless one is told of.

        A codec that cuts values off changes data unsaid; it may refuse them (UnsupportedValue),
        or tell of them (``doubts``).
        """
        codec, column = self.fitted()
        pairs = far_columns(column)
        if not pairs:
            not_tried("raw values are no array of real numbers")
        for pair in pairs:
            far = pair.values
            try:
                given = input_of(codec, pair).flatten(1)
            except UnsupportedValue:
                continue
            if list(codec.doubts(pair)):
                continue
            lost = given[0] == given[1]
            per_cell = lost.numel() == far[0].size
            wants = f"{short(far[0].tolist())} and {short(far[1].tolist())} prepared as two values"
            wants += ", or refused, or told of by doubts"
            kept = not bool(lost.any() if per_cell else lost.all())
            require(kept, wants, f"{short(given[0].tolist())} for both")

    def test_doubts_name_rows_and_say_what(self) -> None:
        """Pairs of a row and a text, of values that prepare takes."""
        codec, column = self.fitted()
        for _, values in [("", column), *self.edge_columns()]:
            returned.doubts(codec.doubts(values), len(values))

    def test_model_values_are_not_edited(self) -> None:
        """No method changes the tensor that it is given."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        likelihood = likelihood_of(codec, N)
        before = x.clone()
        calls: dict[str, Callable[[], object]] = {
            "to_input": lambda: codec.to_input(x),
            "resample": lambda: codec.resample(x, generator()),
            "fixed": lambda: codec.fixed(x, generator()),
            "encoder": lambda: codec.encoder()(x),
            "log_prob": lambda: codec.log_prob(likelihood, x, None),
            "restore": lambda: codec.restore(x),
            "show": lambda: codec.show(x),
            "compare": lambda: codec.compare(x, x),
        }
        for name, call in calls.items():
            with suppress(Exception):  # what fails is told by the check meant for it
                call()
            kept = torch.equal(x, before)
            require(kept, f"{name} to leave its input alone", "an edit in place")

    @needs("test_model_values_are_not_edited")
    def test_restore_undoes_prepare(self) -> None:
        """Restored values, prepared again, are the same model input."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        restored = codec.restore(x)
        returned.column("restore", restored, N)
        for some in (codec.point(likelihood_of(codec, N)), x[:1]):
            returned.column("restore", codec.restore(some), len(some))
        if self.restores:
            again = input_of(codec, restored)
            require(torch.allclose(again, x, atol=1e-5), f"the values {x} back", again)

    @needs("test_restore_undoes_prepare", "test_doubts_name_rows_and_say_what")
    def test_restored_values_are_the_raw_ones(self) -> None:
        """Numbers come back within a level of 8 bits, texts as they are, unless told of.

        A codec that rounds or merges values changes data unsaid; it may refuse them
        (UnsupportedValue), or tell of them (``doubts``).
        """
        codec, column = self.fitted()
        if not self.restores:
            not_tried("it declares restores = False")
        x, observed = codec.prepare(column)
        raw, back = column.values, codec.restore(model_input(codec, x, observed)).values
        differing = differing_rows(raw, back, observed)
        if differing is None:
            not_tried("restore gives values of another kind than the raw ones")
        told = {row for row, _ in codec.doubts(column)}
        for row in differing:
            was, got = (short(np.asarray(values[row]).tolist()) for values in (raw, back))
            wants = f"restore to give the raw value {was} back, or doubts to tell of it"
            remedy = "If prepare must lose this, set restores = False in the test class."
            require(row in told, wants, got, remedy)

    @needs("test_restore_undoes_prepare")
    def test_show_gives_one_thing_per_item(self) -> None:
        """A PIL image or a string for each item, of one sort."""
        codec, column = self.fitted()
        for values in (input_of(codec, column), codec.point(likelihood_of(codec, N))):
            for some in (values, values[:1]):
                returned.things(codec.show(some), len(some))

    def test_compare_gives_numbers_per_item(self) -> None:
        """Names of figures to float tensors, of which an item's depend on that item alone."""
        codec, column = self.fitted()
        x, guess = input_of(codec, column), codec.point(likelihood_of(codec, N)).detach()
        found = codec.compare(guess, x)
        returned.figures(found, N)
        few = codec.compare(guess[:2], x[:2])
        returned.figures(few, 2)
        require(few.keys() == found.keys(), f"the figures {list(found)} of any items", list(few))
        for name, values in found.items():
            finite = bool(values.isfinite().all())
            require(finite, f"compare to give finite {name!r} of valid values", values)
            alike = torch.allclose(values[:2], few[name], rtol=1e-4, atol=1e-5)
            require(
                alike, f"{name!r} of an item, whatever the others are: {values[:2]}", few[name]
            )

    @needs("test_restore_undoes_prepare")
    def test_parse_gives_one_row_or_refuses(self) -> None:
        """A typed value is one row that condition takes; another text is a ValueError."""
        codec, column = self.fitted()
        for text in self.texts():
            self._parsed(codec, text)
        restored = codec.restore(input_of(codec, column)).take([0, 1])
        given = codec.condition(restored)
        for row, text in [*typed(restored.values), (None, NO_VALUE)]:
            try:
                typed_in = self._parsed(codec, text)
            except ValueError:  # a way to refuse; only texts from the examples must be taken
                continue
            if row is None:
                continue
            wants = f"parse({short(text)}) to be the value that restore writes so, which condition"
            wants += f" takes as {short(given[row].tolist())}"
            alike = torch.allclose(typed_in[0], given[row], rtol=1e-3, atol=1e-3)
            require(alike, wants, short(typed_in[0].tolist()))

    @staticmethod
    def _parsed(codec: Codec, text: str) -> Tensor:
        parsed = codec.parse(text)
        returned.column("parse", parsed, 1)
        given = codec.condition(parsed)
        wants = f"condition(parse({short(text)}))"
        returned.tensor(wants, given, (1, *codec.event_shape), EVENT)
        returned.float32(wants, given)
        return given

    @needs("test_parse_gives_one_row_or_refuses", "test_restored_values_are_the_raw_ones")
    def test_classes_have_their_numbers(self) -> None:
        """class_index gives the place of a name in classes, of values and of typed names."""
        codec, column = self.fitted()
        if codec.classes is None:
            return
        for values in (input_of(codec, column), codec.point(likelihood_of(codec, N))):
            returned.indices(codec.class_index(values), len(values), len(codec.classes))
        for number, name in enumerate(codec.classes):
            try:
                x = codec.condition(codec.parse(name))
            except ValueError as error:
                wants = f"parse to take each of classes, as {name!r}"
                raise ContractBroken(f"Wanted {wants}; got {error!r}.") from error
            got = codec.class_index(x).tolist()
            require(got == [number], f"class_index {[number]} of parse({name!r})", got)


def differing_rows(raw: Any, back: Any, observed: Tensor | None) -> list[int] | None:
    """Rows of raw values that restored ones do not equal.

    Args:
        raw: Raw values.
        back: The restored ones.
        observed: See :meth:`mmvae.Codec.prepare`.

    Returns:
        The rows; None if the two are not both real numbers of one shape, or both texts.
    """
    if all(isinstance(value, str) for value in (*raw, *back)):
        return [row for row, (a, b) in enumerate(zip(raw, back, strict=True)) if a != b]
    arrays = [raw, back]
    if not all(isinstance(a, np.ndarray) and a.dtype.kind == "f" for a in arrays):
        return None
    if raw.shape != back.shape or np.isinf(raw).any() or np.isnan(raw).all():
        return None
    level = (np.nanmax(raw) - np.nanmin(raw)) / 255 + 1e-5 * np.abs(raw)  # float32 has 7 digits
    far = np.abs(raw.astype(np.float64) - back) > level  # False where raw values are NaN
    if observed is not None and observed.numel() == far.size:
        far &= observed.cpu().numpy().reshape(far.shape)
    return [row for row in range(len(far)) if far[row].any()]


def far_columns(column: Column) -> list[Column]:
    """Columns of two values far from the others; none if raw values are not real numbers."""
    raw = column.values
    if not isinstance(raw, np.ndarray) or raw.dtype.kind != "f" or not raw.size:
        return []
    centre, spread = np.nanmean(raw, 0), np.nanstd(raw, 0)
    spread = np.where(spread > 0, spread, 1.0)
    pairs = [
        np.stack([centre + times * spread, centre + 1.2 * times * spread])
        for times in (10, -10, 1000, -1000)
    ]
    return [Column(pair.astype(raw.dtype), names=column.names) for pair in pairs]


NO_VALUE = "no such value \u2603"
"""A text that is hardly a value of any codec."""


def typed(values: Any) -> Iterator[tuple[int, str]]:
    """Rows of restored values, each with a text as someone may type it."""
    for row, value in enumerate(values):
        yield row, str(value)
        if isinstance(value, (list, np.ndarray)) and 0 < np.size(value) <= LONG:
            yield row, ",".join(map(str, np.ravel(value).tolist()))


class Unread(LazyValues):
    """A column's values, handed out only when they are read."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Unread:
        """See :meth:`mmvae.modalities.codec.LazyValues.take`."""
        return Unread(self._column.take(rows))

    def read(self) -> Any:
        """See :meth:`mmvae.modalities.codec.LazyValues.read`."""
        return self._column.values
