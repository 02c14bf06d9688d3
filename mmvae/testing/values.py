"""Checks of a codec's values: raw, prepared, restored and shown."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from mmvae.foundations.errors import UnsupportedValue, short
from mmvae.modalities import returned
from mmvae.modalities.column import Column
from mmvae.modalities.conversion import model_input
from mmvae.testing.contract import ContractBroken, needs, not_tried, require, require_offer
from mmvae.testing.raw_values import Unread, far_columns
from mmvae.testing.subject import (
    REFUSALS,
    CodecSubject,
    N,
    generator,
    global_seed,
    input_of,
    likelihood_of,
    same,
)

EVENT = "(b, event…)"

ROWS = {
    "rows 3, 1 alone": np.array([3, 1]),
    "row 4 alone": np.array([4]),
    "the inner rows in reverse": np.array([0, *range(N - 2, 0, -1), N - 1]),
    "600 rows": np.arange(600) % N,
}
"""Rows of a column that are prepared again: some, as many with the same ends, and many."""


class ValueChecks(CodecSubject):
    """Values that go into a codec and come out of it."""

    def test_declarations(self) -> None:
        """The codec has a kind and a config class, and once fitted its dimensions and scales."""
        codec, _ = self.fitted()
        require_offer("codec", type(codec))
        require(isinstance(codec.config, codec.Config), "a config of Config", type(codec.config))
        returned.declared(codec)

    def test_prepared_values_have_the_event_shape(self) -> None:
        """Prepared values, model input, conditions, fill values and masks have their shapes."""
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
        """A value given by a user is read like data: the same value, the same encoder input."""
        codec, column = self.fitted()
        for values in (column, *far_columns(column)):
            try:
                x = input_of(codec, values)
            except REFUSALS:  # far values may lie outside the support
                continue
            given = codec.condition(values)
            close = torch.allclose(x, given, rtol=1e-5, atol=1e-5)
            require(close, f"condition to give prepared values {short(x)}", short(given))

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
        """Values that are read on demand give the same fitted state as values in memory."""
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
        """No method changes the user's values, whether valid, at the edges, extreme or refused."""
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
                with suppress(Exception):  # another check reports this failure
                    call(given)
                alike = same(given.values, raw.values)
                wants = f"raw values left as they are by {name}: {short(raw.values)}"
                require(alike, wants, short(given.values), "Copy the values before you edit them.")

    def test_prepare_is_a_function_of_each_row(self) -> None:
        """Prepared values do not depend on other rows, earlier columns or random draws."""
        codec, column = self.fitted()
        with global_seed(1):
            x, seen = codec.prepare(column)
        with global_seed(2):
            again, _ = codec.prepare(column)
        require(torch.equal(x, again), "prepare to be deterministic", f"{x}, then {again}")
        observed = torch.ones_like(x, dtype=torch.bool) if seen is None else seen
        for name, rows in ROWS.items():
            found, seen = codec.prepare(column.take(rows))
            require(torch.equal(found, x[rows]), f"{name} to give {x[rows]}", found)
            mask = torch.ones_like(found, dtype=torch.bool) if seen is None else seen
            wants = f"{name} to be observed as they are in the whole column"
            require(torch.equal(mask, observed[rows]), wants, seen)

    @needs("test_doubts_name_rows_and_say_what")
    def test_numbers_far_out_stay_apart_or_are_refused(self) -> None:
        """Two extreme numbers give two model inputs, unless refused or reported by doubts.

        A codec that cuts values off changes data unsaid; it may refuse them (UnsupportedValue),
        or report them (``doubts``).
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
            wants += ", or refused, or reported by doubts"
            kept = not bool(lost.any() if per_cell else lost.all())
            require(kept, wants, f"{short(given[0].tolist())} for both")

    def test_doubts_name_rows_and_say_what(self) -> None:
        """``doubts`` returns pairs of a row and a text, for values that prepare accepts."""
        codec, column = self.fitted()
        for _, values in [("", column), *self.edge_columns()]:
            returned.doubts(codec.doubts(values), len(values))

    def test_model_values_are_not_edited(self) -> None:
        """No method changes its input tensor."""
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
            with suppress(Exception):  # another check reports this failure
                call()
            kept = torch.equal(x, before)
            require(kept, f"{name} to leave its input alone", "an edit in place")
