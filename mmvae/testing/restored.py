"""Checks of the values that come out of a codec: restored, shown, compared and typed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmvae.foundations.errors import short
from mmvae.modalities import returned
from mmvae.modalities.codec import Codec
from mmvae.modalities.conversion import model_input
from mmvae.testing.contract import ContractBroken, needs, not_tried, require
from mmvae.testing.raw_values import differing_rows, typed
from mmvae.testing.subject import (
    CodecSubject,
    N,
    input_of,
    likelihood_of,
)
from mmvae.testing.values import EVENT

NO_VALUE = "no such value \u2603"
"""A text that is hardly a value of any codec."""


class RestoredChecks(CodecSubject):
    """Model values in the user's units and names."""

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
        x, prediction = input_of(codec, column), codec.point(likelihood_of(codec, N)).detach()
        found = codec.compare(prediction, x)
        returned.figures(found, N)
        few = codec.compare(prediction[:2], x[:2])
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
