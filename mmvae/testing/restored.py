"""Checks of the values that come out of a codec: restored, shown, compared and typed."""

from __future__ import annotations

from itertools import count

import numpy as np
import torch
from torch import Tensor

from mmvae.foundations.errors import short
from mmvae.modalities import returned
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.modalities.conversion import model_input
from mmvae.testing.compared import directions, expected
from mmvae.testing.contract import ContractBroken, needs, not_tried, require
from mmvae.testing.raw_values import differing_rows, named_in_part, typed
from mmvae.testing.shown import names_in, says
from mmvae.testing.subject import (
    REFUSALS,
    CodecSubject,
    N,
    input_of,
    likelihood_of,
)
from mmvae.testing.values import EVENT, ROWS

NO_VALUE = "no such value \u2603"
"""A text that is hardly a value of any codec."""


class RestoredChecks(CodecSubject):
    """Model values in the user's units and names."""

    @needs("test_model_values_are_not_edited")
    def test_restore_undoes_prepare(self) -> None:
        """Restored values, prepared again, give the same model input, in any order of items."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        restored = codec.restore(x)
        returned.column("restore", restored, N)
        for some in (codec.point(likelihood_of(codec, N)), x[:1]):
            returned.column("restore", codec.restore(some), len(some))
        if self.restores:
            again = input_of(codec, restored)
            require(torch.allclose(again, x, atol=1e-5), f"the values {x} back", again)
            for name, rows in ROWS.items():
                again = input_of(codec, codec.restore(x[rows]))
                require(torch.allclose(again, x[rows], atol=1e-5), f"{name} to give {x}", again)

    @needs("test_restore_undoes_prepare")
    def test_names_of_cells_keep_their_places(self) -> None:
        """A name of both the raw and the restored numbers is that of the same cell or code."""
        codec, column = self.fitted()
        restored = codec.restore(input_of(codec, column))
        if not column.names or not restored.names:
            return
        kinds = [getattr(c.values, "dtype", np.dtype(object)).kind for c in (column, restored)]
        if not all(kind in "iuf" for kind in kinds):
            not_tried("raw or restored values are no array of numbers")
        places = [dict(zip(c.names or (), count(), strict=False)) for c in (column, restored)]
        moved = [n for n in places[0] if places[1].get(n, places[0][n]) != places[0][n]]
        wants = f"restore to give names in the order of the column, {short(column.names)}"
        require(not moved, wants, short(restored.names))

    @needs("test_restore_undoes_prepare", "test_doubts_name_rows_and_say_what")
    def test_restored_values_are_the_raw_ones(self) -> None:
        """Numbers are restored within one 8-bit level, texts exactly, unless doubts report it.

        A codec that rounds or merges values changes data unsaid; it may refuse them
        (UnsupportedValue), or report them (``doubts``). A doubt that it also raises for the
        restored value, which loses no more, has another cause and does not count.
        """
        codec, column = self.fitted()
        if not self.restores:
            not_tried("it declares restores = False")
        x, observed = codec.prepare(column)
        restored = codec.restore(model_input(codec, x, observed))
        raw, back = column.values, restored.values
        differing = differing_rows(raw, back, observed)
        if differing is None:
            not_tried("restore gives values of another kind than the raw ones")
        lossless = set(codec.doubts(restored)) if differing else set()
        reported = {doubt[0] for doubt in codec.doubts(column) if tuple(doubt) not in lossless}
        for row in differing:
            was, got = (short(np.asarray(values[row]).tolist()) for values in (raw, back))
            wants = f"restore to give the raw value {was} back, or doubts to report it"
            remedy = "If prepare must lose this, set restores = False in the test class."
            require(row in reported, wants, got, remedy)

    @needs("test_restore_undoes_prepare")
    def test_show_gives_one_thing_per_item(self) -> None:
        """``show`` returns one PIL image or one string per item."""
        codec, column = self.fitted()
        for values in (input_of(codec, column), codec.point(likelihood_of(codec, N))):
            for some in (values, values[:1]):
                returned.things(codec.show(some), len(some))

    @needs("test_show_gives_one_thing_per_item", "test_parse_gives_one_row_or_refuses")
    def test_show_agrees_with_restore(self) -> None:
        """A text of ``show`` says the restored value within its digits, or ``parse`` reads it so.

        Numbers are compared if the text has one for each cell, attributes if it has none. A text
        that shows a part of a value is not judged, and neither are pictures.
        """
        codec, column = self.fitted()
        judged = 0
        for x in (input_of(codec, column), codec.point(likelihood_of(codec, N))):
            texts, restored = codec.show(x), codec.restore(x)
            names = restored.names or codec.attributes or ()
            for row, (text, value) in enumerate(zip(texts, restored.values, strict=True)):
                if not isinstance(text, str):
                    not_tried("it shows pictures")
                agrees = says(text, value, names)
                if agrees is None and codec.attributes is not None:
                    signs = zip(codec.attributes, np.ravel(value), strict=True)
                    agrees = {name for name, sign in signs if sign > 0} <= names_in(text, names)
                if agrees is None:
                    continue
                judged += 1
                wants = f"show to give the value {short(np.asarray(value).tolist())} of restore, "
                wants += "within the printed digits, or a text that parse reads as this value"
                require(agrees or self._reads(codec, text, restored.take([row])), wants, text)
        if not judged:
            not_tried("its texts show no number for each cell, and no text or class")

    @staticmethod
    def _reads(codec: Codec, text: str, value: Column) -> bool:
        """True if ``parse`` reads a text nearly as this value; texts exactly."""
        try:
            given, wanted = codec.condition(codec.parse(text)), codec.condition(value)
        except REFUSALS:
            return False
        rough = 0.0 if isinstance(value.values[0], str) else 0.05
        return given.shape == wanted.shape and torch.allclose(given, wanted, rtol=rough, atol=0.05)

    def test_compare_gives_numbers_per_item(self) -> None:
        """``compare`` maps names to float tensors; an item's value depends on that item alone."""
        codec, column = self.fitted()
        x, prediction = input_of(codec, column), codec.point(likelihood_of(codec, N)).detach()
        found = codec.compare(prediction, x)
        returned.figures(found, N)
        few = codec.compare(prediction[:2], x[:2])
        returned.figures(few, 2)
        require(
            few.keys() == found.keys(), f"the same names {list(found)} for any items", list(few)
        )
        for name, values in found.items():
            finite = bool(values.isfinite().all())
            require(finite, f"compare to give finite {name!r} of valid values", values)
            alike = torch.allclose(values[:2], few[name], rtol=1e-4, atol=1e-5)
            require(
                alike, f"{name!r} of an item, whatever the others are: {values[:2]}", few[name]
            )

    @needs("test_compare_gives_numbers_per_item")
    def test_compare_is_best_for_true_values(self) -> None:
        """True values as prediction have the lowest, or the highest, of each statistic.

        Other predictions are the values of other items. The words of a name, such as ``error`` or
        ``accuracy``, say which end is the best; else it may be either.
        """
        codec, column = self.fitted()
        x = input_of(codec, column)
        right = codec.compare(x.clone(), x)
        others = [codec.compare(x.roll(k, 0), x) for k in range(1, N)]
        if not right:
            return
        distinct = False
        for name, best in right.items():
            worse = torch.stack([other[name] for other in others])
            found, wanted = directions(best, worse), expected(name)
            wants = f"{name!r} of true values to be {wanted or 'the lowest, or the highest,'} "
            wants += f"beside other predictions, {short(worse.tolist())}"
            fits = wanted in found if wanted else bool(found)
            require(fits, wants, short(best.tolist()))
            distinct |= not bool((worse == best).all())
        differ = bool((x != x.roll(1, 0)).any())
        wants = f"compare to give something else for values of other items: {sorted(right)}"
        require(distinct or not differ, wants, "the same numbers as for the true values")

    @needs("test_restore_undoes_prepare")
    def test_parse_gives_one_row_or_refuses(self) -> None:
        """``parse`` returns one row that condition accepts, or raises ValueError."""
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

    @needs("test_parse_gives_one_row_or_refuses", "test_names_of_cells_keep_their_places")
    def test_parse_makes_up_no_cell(self) -> None:
        """A text that names some cells leaves the others out: unobserved, or as ``missing`` has.

        Tried are ``name=value`` for each name of ``restore``, and all numbers but the last.
        """
        codec, column = self.fitted()
        restored = codec.restore(input_of(codec, column)).take([0])
        raw = np.ravel(np.asarray(restored.values[0])).tolist()
        if len(raw) < 2:
            return  # no cell can be left out
        if not all(isinstance(value, (int, float)) for value in raw):
            not_tried("a value is no list of numbers")
        if int(np.prod(codec.event_shape)) != len(raw):
            not_tried("its cells are not those of the values that restore gives")
        taken = 0
        blank = codec.missing(1).flatten()
        for text, named in named_in_part(raw, restored.names):
            try:
                given = codec.condition(codec.parse(text))
            except REFUSALS:
                continue
            if given.shape != (1, *codec.event_shape):  # the core refuses it
                continue
            taken += 1
            others = [cell for cell in range(len(raw)) if cell not in named]
            found = given.flatten()[others]
            if "=" not in text and len(named) == 1:
                back = np.ravel(np.asarray(codec.restore(given).values[0]))
                if np.allclose(back, raw[0], rtol=1e-3):  # one number for all cells
                    continue
            wants = f"parse({short(text)}) to leave out the cells that it does not name: "
            wants += f"{short(blank[others].tolist())}, as missing has"
            remedy = "Make a cell that is not named unobserved (NaN), or refuse the text."
            left = torch.allclose(found, blank[others])
            require(left, wants, short(found.tolist()), remedy)
        if not taken:
            not_tried("parse takes no text that names some cells alone")

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
        """``class_index`` is the index in classes, for values and for typed names."""
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
