"""One value is the same by every way in, or refused; a codec that reads one wrong is caught."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from testing.strangers import Wave
from torch import nn

from mmvae import Column, Examples, UnsupportedValue, mlp
from mmvae.testing import (
    CodecContract,
    NumberReading,
    PictureReading,
    TextReading,
    violations,
)


class Grey(Wave):
    """Grey pictures of 4×4 pixels as sixteen reals."""

    kind = "grey"

    def prepare(self, column):
        pictures = [self.pixels(row, value) for row, value in enumerate(column.values)]
        return torch.as_tensor(np.stack(pictures), dtype=torch.float32).reshape(-1, 16), None

    def pixels(self, row, value):
        if isinstance(value, Image.Image):
            if value.mode != "L":
                raise UnsupportedValue(row, value.mode, "a grey picture")
            value = np.asarray(ImageOps.exif_transpose(value))
        if not isinstance(value, np.ndarray) or np.ma.is_masked(value):
            raise UnsupportedValue(row, value, "an array or a picture")
        if value.dtype.kind == "f":
            return value
        if value.dtype != np.uint8:
            raise UnsupportedValue(row, value.dtype, "8 bits, or floats")
        return value / 255

    def restore(self, x):
        return Column(x.detach().cpu().numpy().reshape(-1, 4, 4))

    @classmethod
    def examples(cls):
        return Examples(lambda n, s: Column(np.random.default_rng(s).random((n, 4, 4))))


class Number(Wave):
    kind, event_shape, feature_dim = "number", (1,), 4

    def prepare(self, column):
        if np.ma.is_masked(column.values):
            raise UnsupportedValue(None, "masked values", "numbers")
        return torch.tensor([[float(v)] for v in column.values]), None

    def encoder(self):
        return mlp(1, [4], "tanh")

    def decoder(self, input_dim):
        return nn.Linear(input_dim, 1)

    def restore(self, x):
        return Column(x[:, 0].detach().double().numpy())

    @classmethod
    def examples(cls):
        return Examples(lambda n, s: Column(np.random.default_rng(s).normal(size=n)))


class Word(Number):
    """The number of a text among those that it learned."""

    kind = "word"

    def fit(self, column):
        return {"words": sorted(set(column.read().values))}

    def prepare(self, column):
        return torch.tensor([[float(self.state["words"].index(v))] for v in column.values]), None

    def restore(self, x):
        words = self.state["words"]
        return Column([words[min(max(int(v), 0), len(words) - 1)] for v in x[:, 0].round()])

    @classmethod
    def examples(cls):
        return Examples(lambda n, s: Column([f"word {(k + s) % 4}" for k in range(n)]))


class TestGrey(PictureReading, CodecContract):
    codec = Grey
    picture = (4, 4)


class TestNumber(NumberReading, CodecContract):
    codec = Number
    large = (2**40, 2**52 + 2)


class TestWord(TextReading, CodecContract):
    codec = Word


class WrapsBits(Grey):
    """It takes 16 bits for 8."""

    def pixels(self, row, value):
        if getattr(value, "dtype", None) == np.uint16:
            value = value.astype(np.uint8) // 2
        return super().pixels(row, value)


class LeavesThemLying(Grey):
    def pixels(self, row, value):
        grey = isinstance(value, Image.Image) and value.mode == "L"
        return super().pixels(row, np.array(value) if grey else value)


class SeesHiddenColour(Grey):
    def pixels(self, row, value):
        if isinstance(value, Image.Image):
            value = ImageOps.exif_transpose(value).convert("L")
        return super().pixels(row, value)


class ReadsUnderMasks(Grey):
    def pixels(self, row, value):
        return super().pixels(row, np.ma.getdata(value) if np.ma.is_masked(value) else value)


class ReadsUnderMasksOfRows(Grey):
    """It asks for the mask of the whole, and never for that of one picture."""

    def prepare(self, column):
        if isinstance(column.values, list):
            plain = (np.ma.getdata(v) if np.ma.is_masked(v) else v for v in column.values)
            column = Column(list(plain))
        return super().prepare(column)


class ReadsMaskedNumbers(Number):
    def prepare(self, column):
        return super().prepare(Column(np.ma.getdata(column.values)))


class NarrowsNumbers(Number):
    def prepare(self, column):
        values = np.asanyarray(column.values)
        return super().prepare(Column(values.astype(np.int32) if values.dtype == int else values))


class ReadsWhatPythonReads(Number):
    def parse(self, text):
        return Column([float(text)])


class StripsWords(Word):
    def fit(self, column):
        return super().fit(Column([v.strip() for v in column.read().values]))

    def prepare(self, column):
        return super().prepare(Column([v.strip() for v in column.values]))


CAUGHT = [
    (TestGrey, WrapsBits, "test_pictures_are_read_alike_in_every_form", "16 bits to be read as"),
    (TestGrey, LeavesThemLying, "test_turned_pictures_are_upright", "EXIF turns to be read as"),
    (TestGrey, SeesHiddenColour, "test_colour_that_is_not_seen_does_not_count", "another colour"),
    (TestGrey, ReadsUnderMasks, "test_masked_pixels_are_no_values", "of an array as missing"),
    (TestGrey, ReadsUnderMasksOfRows, "test_masked_pixels_are_no_values", "of a list as missing"),
    (
        TestNumber,
        ReadsMaskedNumbers,
        "test_masked_numbers_are_no_values",
        "of an array as missing",
    ),
    (TestNumber, NarrowsNumbers, "test_numbers_are_read_alike_in_every_form", "to be read as"),
    (
        TestNumber,
        ReadsWhatPythonReads,
        "test_typed_numbers_are_those_of_tables",
        "parse.'1_0'. to be refused.*written_number",
    ),
    (TestWord, StripsWords, "test_texts_come_back_as_they_are", "the text '.*' back, or refused"),
]


@pytest.mark.parametrize(
    ("suite", "kind", "check", "said"), CAUGHT, ids=[kind.__name__ for _, kind, _, _ in CAUGHT]
)
def test_a_codec_that_changes_values_is_caught(suite, kind, check, said):
    class Contract(suite):
        codec = kind

    found = violations(Contract())
    also = {"test_ends_of_texts_are_not_cut_off"}  # which every suite for codecs has
    assert [name for name in found if name not in also] == [check]
    assert re.search(said, found[check])
