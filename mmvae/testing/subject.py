"""The subject of a codec's checks: a fitted codec, its input, networks and likelihood."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mmvae.modalities import returned
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_examples import Examples, examples_of
from mmvae.modalities.column import Column
from mmvae.modalities.conversion import model_input
from mmvae.modalities.likelihoods.likelihood import Parameters
from mmvae.testing.suite import Suite

N = 6  # items per check
INPUT = 5  # width of a decoder's input

REFUSALS = (TypeError, ValueError)
"""The errors by which a codec refuses values; UnsupportedValue is one of them."""


class CodecSubject(Suite):
    """The codec under test; a test class sets :attr:`codec`, or overrides the methods."""

    role = "codec"

    codec: ClassVar[type[Codec] | None] = None
    """The class under test; unless :meth:`make_codec` makes one."""

    restores = True
    """True if ``restore`` inverts ``prepare`` exactly; False if preparing loses information."""

    def examples(self) -> Examples | None:
        """The examples that the class brings."""
        return None if self.codec is None else examples_of(self.codec, self.keys)

    def make_config(self) -> Any:
        """The Config of its examples' keys and :attr:`keys`."""
        examples = self.examples()
        keys = examples.keys if examples else {}
        return self.under_test().Config.model_validate({**keys, **self.keys})

    def make_codec(self) -> Codec:
        """A fresh, unfitted codec with small networks."""
        codec: Codec = self.under_test()(self.make_config())
        return codec

    def make_column(self, n: int, seed: int) -> Column:
        """``n`` valid raw values; another seed gives others, of the same shape and classes."""
        examples = self.examples()
        if examples is None:
            raise NotImplementedError(
                "Define make_column(self, n, seed) -> Column, or examples() on the codec."
            )
        return examples.column(n, seed)

    def edge_columns(self) -> list[tuple[str, Column]]:
        """Named columns at the edges of the support: black and white, the last class."""
        examples = self.examples()
        return list(examples.edges.items()) if examples else []

    def invalid_columns(self) -> list[tuple[str, Column]]:
        """Named columns with one row outside the support, which must be refused with its row."""
        examples = self.examples()
        return list(examples.invalid.items()) if examples else []

    def enumerate_support(self, codec: Codec) -> Tensor | None:
        """All values (k, event…) of a countable x, if they are few."""
        examples = self.examples()
        return examples.support if examples else None

    def integration_grid(self, codec: Codec) -> tuple[Tensor, float] | None:
        """Model values (k, event…) that cover a real x of few dimensions, and a cell's volume."""
        examples = self.examples()
        return examples.grid if examples else None

    def texts(self) -> Sequence[str]:
        """Texts that ``parse`` accepts, each one value."""
        examples = self.examples()
        return examples.texts if examples else ()

    def fitted(self) -> tuple[Codec, Column]:
        """A codec fitted as by the core, and the column that it was fitted to."""
        column = self.make_column(N, 0)
        recipe = self.make_codec()
        return type(recipe)(recipe.config, returned.state(recipe.fit(column))), column


def generator() -> torch.Generator:
    """A fresh generator, the same at every call."""
    return torch.Generator().manual_seed(0)


def repeated(parameters: Parameters, n: int) -> Parameters:
    """The parameters of the first item, n times."""
    return of_rows(parameters, [0] * n)


def of_rows(parameters: Parameters, rows: list[int]) -> Parameters:
    """The parameters of these items."""
    if isinstance(parameters, Tensor):
        return parameters[rows].detach()
    return {name: value[rows].detach() for name, value in parameters.items()}


def latents(n: int) -> Tensor:
    """A decoder's input (n, INPUT), the same at every call."""
    return torch.randn(n, INPUT, generator=generator())


def input_of(codec: Codec, column: Column) -> Tensor:
    """Raw values → float32 model input."""
    return model_input(codec, *codec.prepare(column))


def restored_scale(codec: Codec, x: Tensor) -> Tensor | None:
    """The number by which restore multiplies each cell of model input.

    Args:
        codec: A fitted codec.
        x: Model input, (b, event…).

    Returns:
        Its amount, float64 (event…); None if restore gives something else than one real number
        for each cell, or multiplies by no constant, or mixes cells.
    """
    step = 0.1 * (2.0 * (torch.rand(x.shape, generator=generator()) < 0.5) - 1)
    here, there = (codec.restore(values).values for values in (x, x + step))
    for values in (here, there):
        real = isinstance(values, np.ndarray) and values.dtype.kind == "f"
        if not real or values.size != x.numel():
            return None
    moved = torch.from_numpy(np.asarray(there, np.float64) - np.asarray(here, np.float64))
    slopes = (moved.reshape(x.shape) / ((x + step).double() - x.double())).abs()
    scale = slopes.median(0).values
    alike = (slopes - scale).abs() <= 0.005 * scale
    turning = 1 if len(x) > 2 else 0  # of angles that pass the end of their circle meanwhile
    constant = bool((alike.sum(0) >= len(x) - turning).all()) and bool((scale > 0).all())
    return scale if constant and bool(scale.isfinite().all()) else None


def built(codec: Codec, part: str, seed: int = 0) -> nn.Module:
    """An encoder or decoder whose weights are a function of the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return codec.encoder() if part == "encoder" else codec.decoder(INPUT)


def seeded(network: nn.Module, values: Tensor) -> Parameters:
    """A network's output; dropout draws the same cells at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        output: Parameters = network(values)
        return output


def parameters_of(codec: Codec, n: int) -> Parameters:
    """Parameters of n items from a new decoder, as the core passes them on."""
    return in_float32(built(codec, "decoder")(latents(n)))


def likelihood_of(codec: Codec, n: int) -> Distribution:
    """The likelihood of n items."""
    return codec.likelihood(parameters_of(codec, n))


def in_float32(parameters: Parameters) -> Parameters:
    """Parameters in float32."""
    if isinstance(parameters, Tensor):
        return parameters.float()
    return {name: value.float() for name, value in parameters.items()}


def flat(output: Parameters) -> Tensor:
    """The whole output of a network, one row per item."""
    parts = output.values() if isinstance(output, dict) else [output]
    return torch.cat([part.flatten(1) for part in parts], 1)


def same(a: Any, b: Any) -> bool:
    """Equality through arrays, tensors, pictures and lists of them, NaN equal to itself."""
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, np.ndarray) and a.dtype == object:
        return isinstance(b, np.ndarray) and same(a.tolist(), b.tolist())
    if isinstance(a, (np.ndarray, Tensor)):
        return np.array_equal(
            np.asarray(a), np.asarray(b), equal_nan=np.asarray(a).dtype.kind == "f"
        )
    return bool(a == b) or (a != a and b != b)


@contextmanager
def global_seed(seed: int) -> Iterator[Callable[[], bool]]:
    """Seed every global random state; yield a function that is True if they are unchanged."""
    saved = _global_states()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    start = _global_states()
    try:
        yield lambda: same(_global_states(), start)
    finally:
        torch.set_rng_state(saved[0])
        np.random.set_state(saved[1])
        random.setstate(saved[2])


def _global_states() -> tuple[Any, ...]:
    return torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate()
