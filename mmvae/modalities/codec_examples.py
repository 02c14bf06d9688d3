"""Examples: the values with which the conformance suite tests a codec."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from mmvae.modalities.codec import Codec
from mmvae.modalities.column import Column


@dataclass(frozen=True)
class Examples:
    """Test values for ``mmvae plugins check`` and :class:`mmvae.testing.CodecContract`.

    Attributes:
        column: ``column(n, seed)``: n valid raw values; the same for the same seed, others for
            another, of the same shape and classes.
        keys: Keys of ``[modalities.NAME]``, for small networks or where defaults are not enough.
        edges: Name → values at the edges of the support: black and white, the last class.
        invalid: Name → values of which one row lies outside the support.
        support: Every model value of a countable x, float32 (k, event…), if they are few; their
            probabilities must add up to 1.
        grid: Model values, float32 (k, event…), that cover a real x of few dimensions at equal
            distances, and the volume of a cell of theirs. The density must integrate to 1; where
            model input is standardised, the check multiplies the volume by exp Σ ``log_scale``.
        texts: Texts that ``parse`` accepts, each one value: ``("350", "-10.5")``.
    """

    column: Callable[[int, int], Column]
    keys: Mapping[str, Any] = field(default_factory=dict)
    edges: Mapping[str, Column] = field(default_factory=dict)
    invalid: Mapping[str, Column] = field(default_factory=dict)
    support: Tensor | None = None
    grid: tuple[Tensor, float] | None = None
    texts: Sequence[str] = ()


def examples_of(codec: type[Codec], keys: Mapping[str, Any] | None = None) -> Examples | None:
    """The examples that a codec's class brings.

    Args:
        codec: The class. Its ``examples`` may leave the argument out.
        keys: Keys of ``[modalities.NAME]`` that the examples must suit.
    """
    if inspect.signature(codec.examples).parameters:
        return codec.examples(dict(keys or {}))
    return codec.examples()
