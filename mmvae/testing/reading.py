"""Checks of reading: a raw value gives the same model input in every form, or is refused.

The same picture comes as an array, as an image of PIL or as a file; the same number as int16, as
float64 or in a masked array. A codec need not accept each form, but it must not read one as
something else. These checks are for codecs of pictures, numbers and texts, which mix them in:

.. code-block:: python

    class TestMyPictures(PictureReading, CodecContract):
        codec = MyPictures
        picture = (28, 28)
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image

from mmvae.foundations.errors import short
from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column
from mmvae.testing.contract import needs, not_tried, require
from mmvae.testing.subject import REFUSALS, CodecSubject, input_of, same

ODD_NUMBERS = {"1_0": "10", "\u0661": "1", "\uff11\uff12": "12"}
"""Texts that Python takes for numbers and tables do not, and which they would be."""

TURNED = 6
"""EXIF's code for a picture that must be turned by 90° to be upright."""


def same_by_every_way(codec: Codec, ways: Mapping[str, Column], tolerance: float = 1e-6) -> None:
    """Check that each form of the same values gives the same input, or is refused.

    Args:
        codec: A fitted codec.
        ways: Name of a form → the values in that form; the first is the plain one.
        tolerance: Maximum difference of model inputs.

    Raises:
        ContractBroken: Two forms give different model input.
        SkipTest: The codec refuses the plain form.
    """
    (plain, column), *others = ways.items()
    try:
        first = input_of(codec, column)
    except REFUSALS as error:
        not_tried(f"it refuses {plain}: {error}")
    for name, form in others:
        try:
            again = input_of(codec, form)
        except REFUSALS:
            continue
        alike = first.shape == again.shape and torch.allclose(first, again, atol=tolerance)
        wants = f"{name} to be read as {plain}, or refused: {short(first)}"
        require(alike, wants, short(again))


class PictureReading(CodecSubject):
    """Pictures as arrays, images of PIL and files; turned, transparent, of 8 or 16 bits."""

    picture: ClassVar[tuple[int, ...]] = (8, 8)
    """Height and width, and 3 for colour, of pictures that the codec accepts."""

    def _pixels(self) -> np.ndarray[Any, Any]:
        levels = np.random.default_rng(0).integers(0, 256, self.picture)
        return levels.astype(np.uint8)

    def test_pictures_are_read_alike_in_every_form(self) -> None:
        """Arrays of any type, images and 16-bit values give the same picture or are refused."""
        pixels = self._pixels()
        forms = {
            "an array of uint8": pixels[None],
            "an image of PIL": [Image.fromarray(pixels)],
            "a list of arrays": [pixels],
            "nested lists": [pixels.tolist()],
            "floats from 0 to 1": pixels[None].astype(np.float32) / 255,
            "a masked array without masked values": np.ma.array(pixels[None]),
            "integers of 64 bits": pixels[None].astype(np.int64),
            "16 bits": pixels[None].astype(np.uint16) * 257,
        }
        columns = {name: Column(values) for name, values in forms.items()}
        same_by_every_way(self.fitted()[0], columns, tolerance=1 / 255)

    def test_turned_pictures_are_upright(self) -> None:
        """A file with an EXIF orientation is read as an image viewer shows it."""
        pixels = self._pixels()
        lying = Image.fromarray(np.rot90(pixels).copy())
        tags = Image.Exif()
        tags[0x0112] = TURNED
        buffer = io.BytesIO()
        lying.save(buffer, "PNG", exif=tags)
        opened = Image.open(io.BytesIO(buffer.getvalue()))
        ways = {"the upright picture": Column([Image.fromarray(pixels)])}
        ways |= {"a file that EXIF turns": Column([opened])}
        same_by_every_way(self.fitted()[0], ways)

    def test_colour_that_is_not_seen_does_not_count(self) -> None:
        """Pictures that differ only in hidden colours are equal, or both are refused."""
        side = self.picture[:2]
        pixels = np.random.default_rng(1).integers(0, 256, (*side, 4)).astype(np.uint8)
        pixels[..., 3] = 255
        pixels[0, :, 3] = 0
        other = pixels.copy()
        other[0, :, :3] = 255 - other[0, :, :3]
        ways = {
            name: Column([Image.fromarray(values, "RGBA")])
            for name, values in {"a transparent picture": pixels, "another colour": other}.items()
        }
        same_by_every_way(self.fitted()[0], ways)

    def test_masked_pixels_are_no_values(self) -> None:
        """A masked array is refused, or its masked pixels are unobserved cells."""
        pixels = self._pixels()[None]
        mask = np.zeros(pixels.shape, bool)
        mask[:, 0, 0] = True
        masked_are_missing(self.fitted()[0], pixels, mask)


class NumberReading(CodecSubject):
    """Numbers of any type, large ones, and masked arrays."""

    numbers: ClassVar[Sequence[Any]] = (0, 1, 2)
    """Integers that the codec accepts, one for each item, or one list for each."""

    large: ClassVar[Sequence[Any]] = ()
    """Integers beyond 2³¹ that it accepts, in the same form."""

    wide: ClassVar[Sequence[int]] = (1, 40_000, 70_000, 3_000_000_000)
    """Integers of 16, 32 and 64 bits; each is read unchanged, or refused."""

    def test_numbers_are_read_alike_in_every_form(self) -> None:
        """The type, number of bits and container of numbers have no effect."""
        codec, _ = self.fitted()
        for numbers in filter(len, (self.numbers, self.large)):
            whole = np.asarray(numbers, np.int64)
            forms: dict[str, Any] = {"integers of 64 bits": whole, "a list": whole.tolist()}
            for kind in ("int16", "uint16", "int32", "uint64", "float32", "float64", "object"):
                cast = whole.astype(kind)
                if np.array_equal(cast.astype(np.float64), whole.astype(np.float64)):
                    forms[kind] = cast
            forms["big-endian integers"] = whole.astype(">i8")
            forms["a masked array without masked values"] = np.ma.array(whole)
            if whole.ndim == 1:
                forms["decimals"] = [Decimal(int(number)) for number in whole]
            same_by_every_way(codec, {name: Column(form) for name, form in forms.items()})

    @needs("test_numbers_are_read_alike_in_every_form")
    def test_integers_keep_all_their_bits(self) -> None:
        """An integer of any number of bits is read like the float of the same value."""
        codec, _ = self.fitted()
        width = np.shape(np.asarray(self.numbers[0]))
        for number in self.wide:
            whole = np.full((1, *width), number, np.int64)
            forms = {"a float": whole.astype(np.float64), "an integer of 64 bits": whole}
            try:
                input_of(codec, Column(forms["a float"]))
            except REFUSALS:  # it is outside the support
                continue
            same_by_every_way(codec, {f"{number} as {n}": Column(v) for n, v in forms.items()})

    def test_typed_numbers_are_those_of_tables(self) -> None:
        """A text that a table refuses as a number is refused on the command line too."""
        codec, _ = self.fitted()
        width = len(np.ravel(np.asarray(self.numbers[0])))
        for odd, plain in ODD_NUMBERS.items():
            texts = [",".join([number] * width) for number in (odd, plain)]
            try:
                given, taken = (codec.condition(codec.parse(text)) for text in texts)
            except ValueError:
                continue
            wants = f"parse({texts[0]!r}) to be refused, as a table refuses it"
            remedy = "mmvae.written_number reads numbers as tables do."
            require(not torch.equal(given, taken), wants, f"{plain} read", remedy)

    def test_masked_numbers_are_no_values(self) -> None:
        """A masked array is refused, or its masked numbers are unobserved cells."""
        values = np.asarray(self.numbers, np.float64)
        mask = np.zeros(values.shape, bool)
        mask[(0,) * values.ndim] = True
        masked_are_missing(self.fitted()[0], values, mask)


class TextReading(CodecSubject):
    """Texts with a byte-order mark, carriage returns, spaces at the ends, composed letters."""

    awkward: ClassVar[Sequence[str]] = (
        *("\ufeffab", "a\rb", "a\r\nb", " ab ", "e\u0301", "a\x00b", "Hello World", "a\tb"),
        *("a  b", "a\xa0b", "a\u200bb", "\u2018a\u2019", "\U0001f642 ok", "x" * 300),
    )
    """Texts that files, editors and clean-ups tend to change."""

    def test_texts_come_back_as_they_are(self) -> None:
        """An accepted text is restored exactly; otherwise it is refused."""
        for text in self.awkward:
            column = Column([text, *self.make_column(4, 0).values])
            recipe = self.make_codec()
            try:
                codec = type(recipe)(recipe.config, recipe.fit(column))
                x = input_of(codec, column.take([0]))
            except REFUSALS:
                continue
            got = codec.restore(x).values[0]
            require(same(got, text), f"the text {text!r} back, or refused", repr(got))


def masked_are_missing(
    codec: Codec, values: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]
) -> None:
    """Check that masked values are unobserved or refused; the hidden values must not be used.

    Raises:
        ContractBroken: They are read as values.
    """
    hidden = values.copy()
    hidden[mask] = values.max()
    for under in (values, hidden):
        masked = np.ma.array(under, mask=mask)
        forms = {"an array": masked} | ({"a list": list(masked)} if masked.ndim > 1 else {})
        for name, form in forms.items():
            try:
                _, observed = codec.prepare(Column(form))
            except REFUSALS:
                continue
            wants = f"masked values of {name} as missing values, or refused"
            require(observed is not None and not observed.all(), wants, "all cells observed")
