"""Signed attributes: a vector of ±1, one sign per attribute: the item has it or lacks it.

The attributes of faces of Suzuki, Nakayama and Matsuo (2016, arXiv:1611.01891):
p(w|z) = Π_a N(w_a; tanh f_a(z), 1), or as probabilities p(w|z) = Π_a σ(w_a f_a(z)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mmvae import (
    CodecConfig,
    Column,
    DecoderWidths,
    DenseActivation,
    DenseCodec,
    EncoderWidths,
    Examples,
    GaussianLikelihood,
    Likelihood,
    Names,
    State,
    UnsupportedValue,
    check_names,
    hookimpl,
    listed,
    typed_cells,
)
from mmvae_attributes.signs import SignLikelihood

mmvae_contract = 1

Array = np.ndarray[Any, Any]


class SignedAttributesConfig(CodecConfig):
    """Keys of ``codec = "signed-attributes"``."""

    names: Names | None = Field(
        None, description="Names of the attributes. Default: the names in the source."
    )
    likelihood: Literal["gaussian", "bernoulli"] = Field(
        "gaussian",
        description="'gaussian': mean tanh, variance 1. 'bernoulli': probability of each sign.",
    )
    encoder: EncoderWidths = (512, 512)
    decoder: DecoderWidths = (512, 512, 512)
    activation: DenseActivation = "relu"


class SignedAttributes(DenseCodec):
    """±1 for each named attribute: event shape (attributes,)."""

    kind = "signed-attributes"
    Config = SignedAttributesConfig

    def fit(self, column: Column) -> State:
        """Learn the number and names of the attributes (positions if they have no names)."""
        if len(column) == 0:
            raise UnsupportedValue(None, "an empty column", "at least one row of attributes")
        count = _matrix(column.take([0]).read()).shape[1]
        names = self.config.names or column.names or tuple(str(a) for a in range(count))
        if len(names) != count:
            raise UnsupportedValue(
                None, f"{count} attributes", f"{len(names)}, as many as there are names"
            )
        return {"names": list(names)}

    def check_state(self) -> None:
        """Require names of the attributes."""
        check_names(self.state)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the attributes in the order of the values."""
        return tuple(self.state["names"])

    @property
    def attributes(self) -> tuple[str, ...]:
        """The names: the sign of each value says whether an item has that attribute."""
        return self.names

    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """±1 values (b, attributes) → int8 of the same shape; all observed."""
        values = self._sized(column)
        self._refuse(values, (values != 1) & (values != -1), "-1 or +1")
        return torch.from_numpy(values.astype(np.int8)), None

    def condition(self, raw: Column) -> Tensor:
        """Any finite reals (b, attributes): +2 means more than any value of the data."""
        values = self._sized(raw).astype(np.float64)
        converted = torch.from_numpy(values).to(torch.float32)
        self._refuse(values, ~converted.isfinite().numpy(), "a finite number of 32 bits")
        return converted

    def _sized(self, column: Column) -> Array:
        values = _matrix(column)
        if len(values) and values.shape[1] != len(self.names):
            raise UnsupportedValue(
                None, f"{values.shape[1]} attributes", f"{len(self.names)}: {listed(self.names)}"
            )
        column.check_names(self.names, renamed=self.config.names is not None)
        return values.reshape(len(values), len(self.names))

    def _refuse(self, values: Array, bad: Array, expected: str) -> None:
        if bad.any():
            row, a = (int(i) for i in np.argwhere(bad)[0])
            raise UnsupportedValue(
                row,
                f"{values[row, a]} for {self.names[a]!r}",
                expected,
                "Absence of an attribute is written -1.",
            )

    @property
    def likelihood_family(self) -> Likelihood:
        """Independent attributes from one number f_a for each, (b, attributes)."""
        if self.config.likelihood == "bernoulli":
            return SignLikelihood()
        return GaussianLikelihood(1.0, location=torch.tanh)

    def restore(self, x: Tensor) -> Column:
        """The sign of each value as int8 ±1 (0 counts as +1)."""
        signs = torch.where(x.detach().cpu() < 0, -1, 1).to(torch.int8)
        return Column(signs.numpy(), names=self.names)

    def parse(self, text: str) -> Column:
        """``Smiling=2,Male=-1`` (attributes not named are 0: unspecified), or all numbers."""
        cells = typed_cells(text, self.names, others=0.0, called="attribute")
        return Column(np.array([cells]), names=self.names)

    def show(self, x: Tensor) -> list[Any]:
        """The names of the attributes that an item has."""
        has = x.detach().cpu() >= 0
        return [
            ", ".join(n for n, yes in zip(self.names, row, strict=True) if yes) or "none"
            for row in has.tolist()
        ]

    def compare(self, prediction: Tensor, x: Tensor) -> dict[str, Tensor]:
        """Share of attributes with the right sign."""
        return {"accuracy": ((prediction >= 0) == (x >= 0)).float().mean(1)}

    @classmethod
    def examples(cls, keys: Mapping[str, Any] | None = None) -> Examples:
        """Two attributes, under the likelihood that the keys choose."""
        names = ("Smiling", "Male")
        signs = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
        bernoulli = (keys or {}).get("likelihood") == "bernoulli"
        axis = torch.linspace(-7.0, 7.0, 141)

        def column(n: int, seed: int) -> Column:
            drawn = np.random.default_rng(seed).choice(np.array([-1, 1]), (n, 2))
            return Column(drawn, names=names)

        return Examples(
            column,
            keys={"encoder": (8,), "decoder": (8,)},
            edges={"all and none": Column(np.array([[1, 1], [-1, -1]]))},
            invalid={
                "zero": Column(np.array([[1, -1], [1, 0]])),
                "fraction": Column(np.array([[1, -1], [1, 0.5]])),
                "NaN": Column(np.array([[1, -1], [1, np.nan]])),
            },
            support=signs if bernoulli else None,
            grid=None if bernoulli else (torch.cartesian_prod(axis, axis), 0.1**2),
            texts=("Smiling=1,Male=-1",),
        )


def _matrix(column: Column) -> Array:
    """Raw values → a matrix (n, attributes); one number per row is one attribute."""
    try:
        values = _unmasked(column.values)
    except ValueError:
        raise UnsupportedValue(
            None, "rows of unequal length", "one number per attribute"
        ) from None
    if values.dtype.kind in "iuf" and not isinstance(column.values, np.ndarray):
        _refuse_truths(column.values)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise UnsupportedValue(
            None,
            f"{values.dtype} values of shape {values.shape}",
            "numbers of shape (n, attributes)",
        )
    return values


def _refuse_truths(rows: Sequence[Any]) -> None:
    """Refuse a truth value among numbers, which NumPy would convert to 1 or 0."""
    for i, row in enumerate(rows):
        for cell in row if isinstance(row, (list, tuple)) else (row,):
            if isinstance(cell, (bool, np.bool_)):
                raise UnsupportedValue(i, repr(cell), "-1 or +1", "Absence is written -1.")


def _unmasked(values: Any) -> Array:
    """Raw values as an array, NaN where a mask hides them."""
    rows = values if isinstance(values, np.ndarray) else [_filled(row) for row in values]
    return np.asarray(_filled(rows))


def _filled(values: Any) -> Any:
    if not np.ma.is_masked(values) or values.dtype.kind not in "biuf":
        return values
    return np.ma.filled(values.astype(np.float64), np.nan)


@hookimpl
def register_codecs(register: Callable[[type[Any]], None]) -> None:
    """Offer the attribute codec."""
    register(SignedAttributes)
