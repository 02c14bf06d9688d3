"""Recipes: a codec's config, and what it learned from the training split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.column import Column
from mmvae.modalities.column_type import ColumnType

State = Mapping[str, Any]
"""The fitted state of a codec: names to numbers, strings, lists of those, or tensors."""

HAS_MISSING = "has gaps"
"""Key that the core adds to a codec's state if items of the training split lack the modality."""

READ_AS = "read as"
"""Key that the core adds to a codec's state: the type of its column, to read files alike."""


class Recipe(ABC):
    """The part of a codec that a config makes and :meth:`fit` completes.

    Args:
        config: The validated ``Config`` of this codec.
        state: The result of :meth:`fit`, or None before fitting.
    """

    kind: ClassVar[str]
    """The word used in TOML: ``codec = "bernoulli-image"``."""

    Config: ClassVar[type[CodecConfig]] = CodecConfig
    """Pydantic model whose fields are the TOML keys of ``[modalities.NAME]``."""

    def __init__(self, config: Any, state: State | None = None) -> None:
        self.config = config
        self.state: State = {} if state is None else state

    def fit(self, column: Column) -> State:
        """Learn from the training split what must be known before networks are built.

        Called once per run, before anything else.

        Args:
            column: The training split's raw values, of the items that have the modality, perhaps
                unread and larger than memory: take the rows you need, then :meth:`Column.read`
                them (``column.take([0]).read().values``).

        Returns:
            Shape, scale, vocabulary, class names, …: saved with the run; the core then makes a new
            codec with it. Default: nothing.
        """
        return {}

    def check_state(self) -> None:  # noqa: B027  # most codecs need no check
        """Check a state that was read from a file; default: nothing.

        Called before a saved codec is used.

        Raises:
            ValueError: :meth:`fit` returns no such state, such as a deviation of 0.
        """

    @property
    def sometimes_missing(self) -> bool:
        """True if items of the training split lack this modality; set by the core when fitted."""
        return bool(self.state.get(HAS_MISSING, False))

    @property
    def column_type(self) -> ColumnType | None:
        """The type of its column as read in training; None for runs that did not record it."""
        state = self.state.get(READ_AS)
        return None if state is None else ColumnType(state[0], frozenset(state[1:]))

    @property
    @abstractmethod
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one prepared item, at least one dimension, known once fitted.

        Read when a model is built, and to check every batch.
        """

    def missing(self, b: int) -> Tensor:
        """Fill value for missing input, float32 (b, event…). Default: 0.

        Called for each batch with missing values, on the CPU. It replaces a whole missing modality
        and unobserved cells. :meth:`log_prob` must accept it; its result is ignored.
        """
        return torch.zeros(b, *self.event_shape)
