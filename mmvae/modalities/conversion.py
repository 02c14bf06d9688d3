"""Conversions between raw values, model input, and values in the user's units."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from mmvae.modalities.column import Column
from mmvae.modalities.recipe import Recipe


class Conversion(Recipe):
    """The part of a codec that reads values, and writes or shows them."""

    @abstractmethod
    def prepare(self, column: Column) -> tuple[Tensor, Tensor | None]:
        """Convert raw values to model input.

        Called when data are read, for a whole split or for the items of a batch, and for values
        that a user passes to a trained model. A row's result must not depend on the other rows.
        Items that lack the modality are left out.

        Returns:
            The input, shape (b, event…), in a compact dtype (the core casts to float32 with
            :meth:`to_input` when a batch is drawn), and the mask of observed cells: bool of the
            same shape, or None if all are observed.

        Raises:
            UnsupportedValue: A value lies outside the support; it is named with its row.
        """

    def doubts(self, column: Column) -> Iterable[tuple[int, str]]:
        """Rows of raw values whose interpretation a person should check, each with the reason.

        Called by ``mmvae data check`` with values that :meth:`prepare` accepts, some hundred at a
        time: e.g. images that seem to have another scale, texts with invisible marks. Rows with
        the same reason are counted. Default: none.
        """
        return ()

    def to_input(self, x: Tensor) -> Tensor:
        """Convert prepared values (b, event…) as stored to float32 model input, same shape.

        Scale uint8 pixels to [0, 1] here. Default: a cast.
        """
        return x.to(torch.float32)

    def condition(self, raw: Column) -> Tensor:
        """Convert a user's condition to encoder input (b, event…), float32.

        Called to generate from given values, typed or in memory. Unlike :meth:`prepare` it accepts
        any finite real where that makes sense (an attribute of +2). Default: the same as prepared
        values.

        Raises:
            UnsupportedValue: The encoder cannot take a value.
        """
        return model_input(self, *self.prepare(raw))

    @abstractmethod
    def restore(self, x: Tensor) -> Column:
        """Convert model values, float32 (b, event…), to the user's units and names.

        Called for everything that is written or printed: generated values, imputed values. It
        inverts :meth:`prepare`. It also takes results of :meth:`point` and :meth:`sample`, which
        may lie between the values of the support, on any device.
        """

    @abstractmethod
    def parse(self, text: str) -> Column:
        """Convert a value typed as ``--given m=text`` to one row for :meth:`condition`.

        Raises:
            ValueError: The text is not a value; the message says what is accepted.
        """

    def show(self, x: Tensor) -> list[Any]:
        """Convert model values, float32 (b, event…), to one displayable object per item.

        Used for figures and for what ``generate`` prints. All PIL images or all strings. A string
        says the restored value, perhaps with fewer digits; or it is one that :meth:`parse` reads
        as this value. Default: the restored values as text.
        """
        return [str(value) for value in self.restore(x).values]


def model_input(codec: Conversion, x: Tensor, observed: Tensor | None) -> Tensor:
    """Convert prepared values to float32 model input, with fill values in unobserved cells.

    Args:
        codec: The codec that prepared them.
        x: Values as they are stored, shape (b, event…).
        observed: Mask of observed cells, bool (b, event…), or None if all are observed.
    """
    given = codec.to_input(x)
    if observed is None:
        return given
    return torch.where(observed, given, codec.missing(1).to(given, non_blocking=True))
