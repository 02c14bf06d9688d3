"""Checks of a codec's values: raw, prepared, restored and shown."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmvae.codec import Codec, CodecConfig, Column, LazyValues
from mmvae.errors import UnsupportedValue
from mmvae.testing.contract import ContractBroken, not_tried, require
from mmvae.testing.subject import (
    CodecSubject,
    N,
    generator,
    global_seed,
    input_of,
    likelihood_of,
    same,
)


class ValueChecks(CodecSubject):
    """What goes into a codec and comes out of it."""

    def test_declarations(self) -> None:
        """Kind, config class and the dimensions known once fitted."""
        codec, _ = self.fitted()
        require(isinstance(codec, Codec), "a subclass of mmvae.Codec", type(codec).__mro__)
        require(bool(getattr(codec, "kind", "")), "a kind, the word used in TOML", "none")
        require(issubclass(codec.Config, CodecConfig), "a Config of CodecConfig", codec.Config)
        require(isinstance(codec.config, codec.Config), "a config of Config", type(codec.config))
        shape, width = codec.event_shape, codec.feature_dim
        sizes = isinstance(shape, tuple) and all(isinstance(n, int) and n > 0 for n in shape)
        require(sizes and len(shape) > 0, "event_shape, a tuple of sizes > 0", repr(shape))
        require(isinstance(width, int) and width > 0, "feature_dim > 0", repr(width))

    def test_prepared_values_have_the_event_shape(self) -> None:
        """Prepared values, model input, conditions, stand-ins and observed cells."""
        codec, column = self.fitted()
        prepared = codec.prepare(column)
        pair = isinstance(prepared, tuple) and len(prepared) == 2
        require(pair, "prepare to give (values, observed or None)", type(prepared))
        x, observed = prepared
        shape = (N, *codec.event_shape)
        given = codec.to_input(x)
        for name, value in {
            "prepare": x,
            "to_input": given,
            "condition": codec.condition(column),
            "resample": codec.resample(given.clone(), generator()),
            "fixed": codec.fixed(given.clone(), generator()),
            "missing": codec.missing(N),
        }.items():
            require(isinstance(value, Tensor), f"{name} to give a tensor", type(value))
            require(value.shape == shape, f"{name} to give {shape}", tuple(value.shape))
            if name != "prepare":
                require(value.dtype == torch.float32, f"{name} to give float32", value.dtype)
                require(bool(value.isfinite().all()), f"{name} to be finite", "NaN or infinity")
        if observed is not None:
            require(observed.dtype == torch.bool, "observed cells as bool", observed.dtype)
            require(observed.shape == shape, f"observed cells {shape}", tuple(observed.shape))

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

    def test_prepare_is_a_function_of_each_row(self) -> None:
        """The same values whatever else is prepared and drawn, and the raw values left alone."""
        codec, column = self.fitted()
        before = copy.deepcopy(column.values)
        with global_seed(1):
            x, _ = codec.prepare(column)
        with global_seed(2):
            again, _ = codec.prepare(column)
        require(same(column.values, before), "raw values left as they are", column.values)
        require(torch.equal(x, again), "prepare to be deterministic", f"{x}, then {again}")
        rows = np.array([3, 1])
        alone, _ = codec.prepare(column.take(rows))
        require(torch.equal(alone, x[rows]), f"rows 3, 1 alone to give {x[rows]}", alone)

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
            call()
            kept = torch.equal(x, before)
            require(kept, f"{name} to leave its input alone", "an edit in place")

    def test_restore_undoes_prepare(self) -> None:
        """Restored values, prepared again, are the same model input."""
        codec, column = self.fitted()
        x = input_of(codec, column)
        restored = codec.restore(x)
        require(isinstance(restored, Column), "restore to give a Column", type(restored))
        require(len(restored) == N, f"restore to give {N} values", len(restored))
        if self.restores:
            again = input_of(codec, restored)
            require(torch.allclose(again, x, atol=1e-5), f"the values {x} back", again)

    def test_show_gives_one_thing_per_item(self) -> None:
        """A PIL image or a string for each item, of one sort."""
        codec, column = self.fitted()
        for values in (input_of(codec, column), codec.point(likelihood_of(codec, N))):
            things = codec.show(values)
            require(isinstance(things, list), "show to give a list", type(things))
            require(len(things) == N, f"show to give {N} things to look at", len(things))
            sorts = {Image.Image if isinstance(t, Image.Image) else type(t) for t in things}
            one = sorts in ({Image.Image}, {str})
            wants = "show to give PIL images, or strings"
            require(one, wants, ", ".join(sorted(s.__name__ for s in sorts)))


class Unread(LazyValues):
    """A column's values, handed out only when they are read."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Unread:
        """See :meth:`mmvae.codec.LazyValues.take`."""
        return Unread(self._column.take(rows))

    def read(self) -> Any:
        """See :meth:`mmvae.codec.LazyValues.read`."""
        return self._column.values
