"""Categorical: one label per item as a one-hot vector, p(w|z) = Π_k π_k(z)^w_k.

The label codec of Suzuki, Nakayama and Matsuo (2016, arXiv:1611.01891) on MNIST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field, PositiveInt, field_validator
from torch import Tensor
from torch.nn import functional as F

from mmvae import (
    CategoricalLikelihood,
    CodecConfig,
    Column,
    DecoderWidths,
    DenseActivation,
    DenseCodec,
    EncoderWidths,
    Examples,
    Likelihood,
    State,
    UnsupportedValue,
    distinct_names,
    hookimpl,
    listed,
    nearest,
)
from mmvae_labels.raw_labels import (
    Array,
    distinct,
    few_enough,
    is_integer,
    is_learned_integer,
    labels_of,
    name_array,
)

mmvae_contract = 1


class CategoricalConfig(CodecConfig):
    """Keys of ``codec = "categorical"``."""

    classes: PositiveInt | tuple[str, ...] | None = Field(
        None,
        description="Number or names of the classes. Default: the names in the source, else the "
        "labels of the training split.",
    )
    encoder: EncoderWidths = (512, 512)
    decoder: DecoderWidths = (512, 512, 512)
    activation: DenseActivation = "leaky-relu"

    @field_validator("classes")
    @classmethod
    def _distinct(cls, classes: int | tuple[str, ...] | None) -> int | tuple[str, ...] | None:
        return distinct_names(classes) if isinstance(classes, tuple) else classes


class Categorical(DenseCodec):
    """One label per item: event shape (classes,), one-hot."""

    kind = "categorical"
    Config = CategoricalConfig

    def fit(self, column: Column) -> State:
        """Learn the class names: from the config, the source's names or the labels seen."""
        wanted = self.config.classes
        if isinstance(wanted, tuple):
            if column.names is not None and not set(wanted) & set(column.names):
                raise UnsupportedValue(
                    None,
                    f"the class names {listed(column.names, 20)} from the source",
                    f"some of classes = {listed(wanted, 20)}",
                    "List the source's names with the key, in any order, or leave the key out.",
                )
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
        labels = labels_of(column.read())
        if isinstance(labels, list):
            return {"classes": few_enough(sorted(set(labels))), "named": True}
        return {"classes": [str(label) for label in few_enough(distinct(labels))], "named": False}

    def check_state(self) -> None:
        """Require names of classes, which are numbers or truth values if they are not named."""
        super().check_state()
        named = self.state["named"]
        if not isinstance(named, bool):
            raise ValueError(f"named is {named!r:.80}, expected true or false")
        if self._integers and not all(map(is_learned_integer, self.classes)):
            raise ValueError(f"classes is {listed(self.classes, 5)!r:.80}, expected whole numbers")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their codes."""
        return tuple(self.state["classes"])

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.classes

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Labels (b,), or codes if no class name is a number → one-hot uint8."""
        labels = labels_of(column)
        codes = self._codes(labels, column.names)
        bad = np.flatnonzero(codes < 0)
        if len(bad):
            row = int(bad[0])
            label: Any = labels[row] if isinstance(labels, list) else labels[row].item()
            coded = not isinstance(labels, list)
            if coded and column.names is not None and 0 <= label < len(column.names):
                label, coded = column.names[label], False
            raise UnsupportedValue(
                row,
                f"label {label!r}",
                f"one of {self._accepted(coded)}",
                "Correct the label, or list all classes with the key 'classes'.",
            )
        return F.one_hot(torch.from_numpy(codes), len(self.classes)).to(torch.uint8), None

    def _codes(self, labels: list[str] | Array, names: Sequence[str] | None) -> Array:
        """Labels → codes of classes, −1 for unknown ones."""
        code = {name: k for k, name in enumerate(self.classes)}
        if isinstance(labels, list):
            return np.array([code.get(name, -1) for name in labels], np.int64)
        distinct, inverse = np.unique(labels, return_inverse=True)
        codes = [self._code(label, code, names) for label in distinct.tolist()]
        return np.array(codes, np.int64)[inverse]

    def _code(self, label: bool | int, code: Mapping[str, int], names: Any) -> int:
        """The class of an integer or boolean; −1 if there is none.

        If the source gives names, an integer stands for the name with that code there. Else it is
        a code if no class name is a number, and otherwise the name of a class.
        """
        if isinstance(label, bool):
            return code.get(str(label), code.get(str(int(label)), -1) if self._integers else -1)
        if names is not None:
            return code.get(names[label], -1) if 0 <= label < len(names) else -1
        if self._booleans:
            return code.get(str(bool(label)), -1) if label in (0, 1) else -1
        if self._coded:
            return label if 0 <= label < len(self.classes) else -1
        return code.get(str(label), -1)

    @property
    def _coded(self) -> bool:
        """True if an integer is the code of a class, because no class name is a number."""
        named: bool = self.state["named"]
        return named and not any(map(is_integer, self.classes))

    @property
    def _booleans(self) -> bool:
        return not self.state["named"] and set(self.classes) <= {"False", "True"}

    @property
    def _integers(self) -> bool:
        return not self.state["named"] and not self._booleans

    def _accepted(self, codes: bool = True) -> str:
        """The labels that are accepted, and the codes, unless values are texts."""
        names = self.classes
        if self._integers and names == tuple(map(str, range(len(names)))):
            return f"the labels 0..{len(names) - 1}"
        shown = listed(names, 20)
        return f"{shown} or the codes 0..{len(names) - 1}" if codes and self._coded else shown

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

    @property
    def likelihood_family(self) -> Likelihood:
        """One class from logits (b, K)."""
        return CategoricalLikelihood()

    def class_index(self, x: Tensor) -> Tensor:
        """Code of the class with the largest weight, int64 (b,)."""
        return x.argmax(-1)

    def restore(self, x: Tensor) -> Column:
        """One-hot (b, K) → labels as they were: names, integers or booleans."""
        codes = self.class_index(x).cpu().numpy()
        if self.state["named"]:
            return Column(name_array(self.classes)[codes], names=self.classes)
        labels = [c == "True" for c in self.classes] if self._booleans else map(int, self.classes)
        return Column(np.array(list(labels))[codes])

    def parse(self, text: str) -> Column:
        """A class's name, or its code if no class name is a number."""
        word = text if text in self.classes else text.strip()
        if self._booleans:
            word = word.capitalize()
        if word in self.classes:
            return Column([word])
        if self._coded and is_integer(word) and 0 <= int(word) < len(self.classes):
            return Column([self.classes[int(word)]])
        hint = nearest(word, self.classes)
        raise ValueError(f"{text!r} is no class; expected {self._accepted()}.{hint}")

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """1 if the prediction is right, else 0."""
        return {"accuracy": (self.class_index(prediction) == self.class_index(x)).float()}

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples:
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
            texts=("newt",),
        )


@hookimpl
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer the label codec."""
    register(Categorical)
