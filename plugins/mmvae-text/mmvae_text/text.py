"""Text: short sequences of characters or bytes, p(s|z) = Π_{i<n} p_i(s_i|z) · p_n(end|z)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt, field_validator, model_validator
from torch import Tensor, nn

from mmvae import (
    Activation,
    Codec,
    CodecConfig,
    Column,
    Examples,
    Likelihood,
    State,
    UnsupportedValue,
    is_unicode,
)
from mmvae_text.alphabet import UNKNOWN, Alphabet, Unit, counted, doubts, short, texts
from mmvae_text.examples import examples
from mmvae_text.networks import Reader, Writer
from mmvae_text.strings import END, StringLikelihood, lengths


class TextConfig(CodecConfig):
    """Keys of ``codec = "text"``."""

    unit: Unit = Field(
        "character",
        description="Unit of a text: 'character' is a Unicode code point, 'byte' a byte of the "
        "UTF-8 encoding. No byte is unknown.",
    )
    max_length: PositiveInt | None = Field(
        None,
        description="Maximum number of characters or bytes of a text. Longer texts are refused. "
        "Default: the length of the longest text of the training split.",
    )
    unknown: Literal["refuse", "replace"] = Field(
        "refuse",
        description="Treatment of characters outside the vocabulary. 'refuse': an error. "
        "'replace': read as the character '\N{REPLACEMENT CHARACTER}'.",
    )
    min_count: PositiveInt = Field(
        1,
        description="With unknown = 'replace': characters with fewer occurrences in the training "
        "split are unknown.",
    )
    encoder: tuple[PositiveInt, ...] = Field(
        (128, 128),
        min_length=1,
        description="Channels of the convolutions. The first number is also the width of the "
        "embedding.",
    )
    kernel: PositiveInt = Field(
        5,
        description="Kernel size of the convolutions in positions, an odd number.",
    )
    decoder: tuple[PositiveInt, ...] = Field(
        (256, 256),
        min_length=1,
        description="Widths of the dense layers applied at each position.",
    )
    activation: Activation = Field("relu", description="Activation after each layer.")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("expected an odd number, so that each position is in the middle")
        return kernel

    @model_validator(mode="after")
    def _consistent(self) -> TextConfig:
        """Refuse keys that would have no effect."""
        if self.unknown == "replace" and self.unit == "byte":
            raise ValueError("unknown = 'replace' has no effect with unit = 'byte'")
        if self.min_count > 1 and self.unknown == "refuse":
            raise ValueError("min_count > 1 needs unknown = 'replace'")
        return self


class Text(Codec):
    """One text per item: event shape (max_length,), a code for each position, END after it."""

    kind = "text"
    Config = TextConfig

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples:
        """See :meth:`mmvae.Codec.examples`."""
        return examples()

    def __init__(self, config: TextConfig, state: State | None = None) -> None:
        super().__init__(config, state)
        self.alphabet = Alphabet(config.unit, self.state.get("characters", ""))

    def fit(self, column: Column) -> State:
        """Learn the characters and the length of the longest text."""
        counts, longest = counted(column, self.config.unit)
        if longest == 0:
            raise UnsupportedValue(
                None, "no text but empty ones in the training split", "at least one character"
            )
        kept = {c for c, count in counts.items() if count >= self.config.min_count}
        if self.config.unknown == "replace":
            kept.add(UNKNOWN)
        return {"characters": "".join(sorted(kept)), "length": self.config.max_length or longest}

    def check_state(self) -> None:
        """Require each character once, in order, and a length of one at least."""
        characters, length = self.state["characters"], self.state["length"]
        if "".join(sorted(set(characters))) != characters or not is_unicode(characters):
            raise ValueError("characters: expected each one once, in order, and valid Unicode")
        if not (type(length) is int and length >= 1):
            raise ValueError(f"length is {length!r:.80}, expected an integer of at least 1")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(max_length,)."""
        return (int(self.state["length"]),)

    @property
    def feature_dim(self) -> int:
        """Twice the channels of the last convolution: their sum and their maximum."""
        return 2 * int(self.config.encoder[-1])

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Texts (b,) → codes (b, max_length), END after the text; None is not observed."""
        (length,) = self.event_shape
        found = texts(column)
        codes = np.full(
            (len(found), length), END, np.int16 if self._missing_code < 2**15 else np.int32
        )
        for row, text in enumerate(found):
            if text is None:
                codes[row] = self._missing_code
                continue
            symbols = self.alphabet.encode(text, row)
            if len(symbols) > length:
                raise UnsupportedValue(
                    row,
                    f"{short(text)} of {len(symbols)} {self.config.unit}s",
                    f"at most {length}",
                    "Shorten it, or set max_length.",
                )
            codes[row, : len(symbols)] = symbols
        has = np.array([text is not None for text in found], bool)
        observed = None if has.all() else torch.from_numpy(has)[:, None].repeat(1, length)
        return torch.from_numpy(codes), observed

    def doubts(self, column: Column) -> Iterator[tuple[int, str]]:
        """Texts that contain invisible marks."""
        return doubts(column)

    @property
    def _missing_code(self) -> int:
        """The code for a missing text: not a symbol, and different from an empty text."""
        return len(self.alphabet)

    def missing(self, b: int) -> Tensor:
        """A special code at every position, so that a missing text differs from an empty one."""
        return torch.full((b, *self.event_shape), float(self._missing_code))

    def encoder(self) -> nn.Module:
        """Embedded symbols and positions, convolutions, pooling."""
        c = self.config
        return Reader(
            self._missing_code + 1, self.event_shape[0], c.encoder, c.kernel, c.activation
        )

    def decoder(self, input_dim: int) -> nn.Module:
        """Dense layers, applied to each position independently."""
        c = self.config
        return Writer(input_dim, self.event_shape[0], len(self.alphabet), c.decoder, c.activation)

    @property
    def likelihood_family(self) -> Likelihood:
        """Strings from logits (b, max_length, symbols)."""
        return StringLikelihood()

    def restore(self, x: Tensor) -> Column:
        """Codes (b, max_length) → texts, None for a missing one."""
        return Column([self._text(codes) for codes in x.detach().cpu().long().tolist()])

    def _text(self, codes: list[int]) -> str | None:
        return None if self._missing_code in codes else self.alphabet.decode(codes)

    def parse(self, text: str) -> Column:
        """The typed text, unchanged."""
        return Column([text])

    def show(self, x: Tensor) -> list[Any]:
        """The texts, quoted if parts would be invisible: empty, padded, line breaks."""
        return [_shown(text) for text in self.restore(x).values]

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Share of right positions up to the end of the longer text; 1 if all are right."""
        longer = torch.maximum(lengths(prediction), lengths(x))
        right = (prediction == x) & (
            torch.arange(x.shape[-1], device=x.device) < longer.unsqueeze(-1)
        )
        accuracy = torch.where(longer > 0, right.sum(-1) / longer.clamp(min=1), 1.0)
        return {"accuracy": accuracy, "whole text": (accuracy == 1).float()}


def _shown(text: str | None) -> str:
    if text is None:
        return "(none)"
    plain = text and text.isprintable() and text == text.strip()
    return text if plain else repr(text)
