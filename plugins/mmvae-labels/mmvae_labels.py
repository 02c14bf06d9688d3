"""Categorical: one label per item as a one-hot vector, p(w|z) = Π_k π_k(z)^w_k.

The label codec of Suzuki, Nakayama and Matsuo (2016, arXiv:1611.01891) on MNIST.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor, nn
from torch.distributions import Distribution, OneHotCategorical
from torch.nn import functional as F

from mmvae import (
    Activation,
    Codec,
    CodecConfig,
    Column,
    Examples,
    Parameters,
    State,
    UnsupportedValue,
    hookimpl,
    mlp,
)

mmvae_contract = 1

Array = np.ndarray[Any, Any]

_MOST = 100_000  # one-hot vectors longer than this mean that the column holds ids, not labels


class CategoricalConfig(CodecConfig):
    """Keys of ``codec = "categorical"``."""

    classes: PositiveInt | tuple[str, ...] | None = Field(
        None,
        description="Number or names of the classes; the source's names, or else the labels of "
        "the training split, unless given.",
    )
    encoder: tuple[PositiveInt, ...] = Field(
        (512, 512), description="Widths of the encoder's dense layers."
    )
    decoder: tuple[PositiveInt, ...] = Field(
        (512, 512, 512), description="Widths of the decoder's dense layers."
    )
    activation: Activation = Field("leaky-relu", description="Activation after each dense layer.")

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: int | tuple[str, ...] | None) -> int | tuple[str, ...] | None:
        if isinstance(classes, tuple) and (not classes or len(set(classes)) < len(classes)):
            raise ValueError("expected at least one name, each name once")
        return classes


class Categorical(Codec):
    """One label per item: event shape (classes,), one-hot."""

    kind = "categorical"
    Config = CategoricalConfig

    def fit(self, column: Column) -> State:
        """Learn the class names: from the config, the source's names or the labels seen."""
        wanted = self.config.classes
        if isinstance(wanted, tuple):
            return {"classes": list(wanted), "named": True}
        if column.names is not None:
            if wanted not in (None, len(column.names)):
                raise UnsupportedValue(
                    None,
                    f"{len(column.names)} class names from the source",
                    f"classes = {wanted}",
                    "Correct the key, or leave it out.",
                )
            return {"classes": list(column.names), "named": True}
        if wanted is not None:
            return {"classes": [str(k) for k in range(wanted)], "named": False}
        labels = _labels(column.read())
        if labels.dtype.kind == "U":
            return {"classes": [str(name) for name in np.unique(labels)], "named": True}
        return {"classes": [str(k) for k in range(_count(labels))], "named": False}

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their codes."""
        return tuple(self.state["classes"])

    @property
    def event_shape(self) -> tuple[int, ...]:
        """(classes,)."""
        return (len(self.classes),)

    @property
    def feature_dim(self) -> int:
        """Width of the last dense layer."""
        return int(self.config.encoder[-1]) if self.config.encoder else len(self.classes)

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Names or codes 0..K−1 (b,) → one-hot uint8 (b, K)."""
        labels = _labels(column)
        codes = self._codes(labels) if labels.dtype.kind == "U" else labels
        bad = np.flatnonzero((codes < 0) | (codes >= len(self.classes)))
        if len(bad):
            row = int(bad[0])
            raise UnsupportedValue(
                row,
                f"label {labels[row].item()!r}",
                f"one of {self._accepted()}",
                "Correct the label, or list all classes with the key 'classes'.",
            )
        return F.one_hot(torch.from_numpy(codes), len(self.classes)).to(torch.uint8), None

    def _codes(self, names: Array) -> Array:
        """Names → codes, −1 for a name that is no class; one look-up per distinct name."""
        code = {name: k for k, name in enumerate(self.classes)}
        distinct, inverse = np.unique(names, return_inverse=True)
        codes = np.array([code.get(str(name), -1) for name in distinct], np.int64)
        return codes[inverse] if len(distinct) else np.zeros(0, np.int64)

    def _accepted(self) -> str:
        names = self.classes
        if not self.state["named"]:
            return f"the labels 0..{len(names) - 1}"
        shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        return f"{shown} or the codes 0..{len(names) - 1}"

    def condition(self, raw: Column) -> Tensor:
        """Names, codes (b,), or any finite weights of the classes (b, K) → float32 (b, K)."""
        weights = np.asarray(raw.values)
        if weights.ndim != 2 or weights.dtype.kind not in "iuf":
            return super().condition(raw)
        if weights.shape[1] != len(self.classes):
            raise UnsupportedValue(
                None, f"{weights.shape[1]} weights", f"{len(self.classes)}, one for each class"
            )
        bad = ~np.isfinite(weights).all(1)
        if bad.any():
            row = int(np.argmax(bad))
            raise UnsupportedValue(row, weights[row].tolist(), "finite weights of the classes")
        return torch.tensor(weights, dtype=torch.float32)

    def encoder(self) -> nn.Module:
        """Dense layers."""
        return mlp(len(self.classes), self.config.encoder, self.config.activation)

    def decoder(self, input_dim: int) -> nn.Module:
        """Dense layers, then the logits of the classes."""
        hidden = self.config.decoder
        return nn.Sequential(
            *mlp(input_dim, hidden, self.config.activation),
            nn.Linear(hidden[-1] if hidden else input_dim, len(self.classes)),
        )

    def likelihood(self, parameters: Parameters) -> Distribution:
        """One class from logits (b, K)."""
        assert isinstance(parameters, Tensor)
        return OneHotCategorical(logits=parameters, validate_args=False)

    def log_prob(self, likelihood: Distribution, x: Tensor, observed: Tensor | None) -> Tensor:
        """Log-probability of the label (b,); 0 where any cell of its one-hot is unobserved."""
        assert isinstance(likelihood, OneHotCategorical)
        if observed is None:
            return (x * likelihood.logits).sum(-1)  # its logits are normalised
        cells = torch.where(observed, x, 0.0) * likelihood.logits
        return torch.where(observed.all(-1), cells.sum(-1), 0.0)

    def point(self, likelihood: Distribution) -> Tensor:
        """The mode, one-hot float32."""
        return self._one_hot(likelihood.mean.argmax(-1))

    def sample(self, likelihood: Distribution, generator: torch.Generator) -> Tensor:
        """A class for each item, one-hot float32."""
        return self._one_hot(torch.multinomial(likelihood.mean, 1, generator=generator)[:, 0])

    def _one_hot(self, codes: Tensor) -> Tensor:
        return F.one_hot(codes, len(self.classes)).to(torch.float32)

    def class_index(self, x: Tensor) -> Tensor:
        """Code of the class with the largest weight, int64 (b,)."""
        return x.argmax(-1)

    def restore(self, x: Tensor) -> Column:
        """One-hot (b, K) → names if the classes have any, else int64 codes."""
        codes = self.class_index(x).cpu().numpy()
        if not self.state["named"]:
            return Column(codes)
        return Column(np.array(self.classes)[codes], names=self.classes)

    def parse(self, text: str) -> Column:
        """A class's name or its code."""
        word = text if text in self.classes else text.strip()
        if word in self.classes:
            return Column([self.classes.index(word)])
        if word.isdecimal() and int(word) < len(self.classes):
            return Column([int(word)])
        close = difflib.get_close_matches(word, self.classes, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{text!r} is no class; expected {self._accepted()}.{hint}")

    def compare(self, guess: Tensor, x: Tensor) -> dict[str, Tensor]:
        """1 where the guess is right, else 0."""
        return {"accuracy": (self.class_index(guess) == self.class_index(x)).float()}

    @classmethod
    def examples(cls) -> Examples:
        """Three pets by their codes."""
        names = ("cat", "dog", "newt")

        def column(n: int, seed: int) -> Column:
            return Column(np.random.default_rng(seed).permutation(np.arange(n) % 3), names=names)

        return Examples(
            column,
            keys={"classes": names, "encoder": (8,), "decoder": (8,)},
            edges={"the last class": Column(np.array([2]))},
            invalid={
                "negative": Column(np.array([0, -1])),
                "too large": Column(np.array([0, 3])),
                "fraction": Column(np.array([0.0, 1.5])),
                "unknown name": Column(["cat", "cow"]),
                "gap": Column(["cat", None]),
            },
            support=torch.eye(3),
        )


def _labels(column: Column) -> Array:
    """Raw labels (n,) → strings, or int64 codes; refuses gaps, fractions and other types."""
    values = column.values
    known = isinstance(values, np.ndarray) and values.dtype != object
    labels = values if known else _array(list(values))
    if labels.ndim != 1:
        raise UnsupportedValue(None, f"an array of shape {labels.shape}", "shape (n,)")
    if labels.dtype.kind == "U":
        return labels
    if labels.dtype.kind not in "biuf":
        raise UnsupportedValue(None, f"labels of type {labels.dtype}", "integers or names")
    if labels.dtype.kind == "f":
        bad = ~np.isfinite(labels) | (labels != np.rint(labels))
        if bad.any():
            row = int(np.argmax(bad))
            raise UnsupportedValue(
                row, f"label {labels[row]}", "a whole number or a name", "Label every item."
            )
    return labels.astype(np.int64)


def _array(values: list[Any]) -> Array:
    """A list of names or of numbers as an array; numpy alone would turn [1, "a"] into strings."""
    named = any(isinstance(value, str) for value in values)
    wanted = (str,) if named else (int, float, np.number, np.bool_)
    for row, value in enumerate(values):
        if not isinstance(value, wanted):
            expected = "a class name, as in other rows" if named else "a whole number or a name"
            raise UnsupportedValue(row, f"label {value!r}", expected, "Label every item.")
    return np.array(values) if values else np.zeros(0, np.int64)


def _count(labels: Array) -> int:
    """Number of classes of integer labels: one more than the largest."""
    if len(labels) == 0:
        raise UnsupportedValue(None, "an empty column", "at least one label")
    if labels.min() < 0:
        row = int(np.argmin(labels))
        raise UnsupportedValue(row, f"label {labels[row]}", "a label of 0 or more")
    if labels.max() >= _MOST:
        row = int(np.argmax(labels))
        raise UnsupportedValue(
            row, f"label {labels[row]}", f"fewer than {_MOST} classes", "Are these labels or ids?"
        )
    return int(labels.max()) + 1


@hookimpl
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer the label codec."""
    register(Categorical)
