"""The source contract: the origin of items, before any codec sees them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mmvae.data.split_names import SplitName
from mmvae.modalities.column import Column, row_index


@dataclass(frozen=True)
class Split:
    """Some items: columns of equal length and an id for each item.

    Attributes:
        columns: Column name → raw values, all of length n. A column's ``present`` masks the items
            that have it.
        ids: n item ids for messages and outputs: numbers or strings.
    """

    columns: Mapping[str, Column]
    ids: Sequence[Any] | np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: Sequence[int] | np.ndarray[Any, Any]) -> Split:
        """The split of these rows, in this order."""
        index = row_index(rows)
        columns = {name: column.take(index) for name, column in self.columns.items()}
        return Split(columns, np.asarray(self.ids)[index])


class SourceConfig(BaseModel):
    """The keys of ``[data]`` that every source has; a source's own Config adds to them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    resident: bool | Literal["auto"] = Field(
        "auto",
        description="Keep all prepared values in memory. 'auto' does so if they fit in "
        "resident_gib; otherwise each batch is read and prepared when it is needed.",
    )
    resident_gib: float = Field(
        4.0, gt=0, description="Maximum memory in GiB for resident values."
    )
    incomplete: Literal["keep", "discard", "discard-empty"] = Field(
        "keep",
        description="Treatment of items that lack a whole modality. 'keep' trains and evaluates "
        "on the modalities that an item has; 'discard' drops every such item; 'discard-empty' "
        "drops only items without any modality.",
    )


class Source(ABC):
    """A data set that a config can name as ``[data] source = "…"``.

    Args:
        config: The validated ``Config`` of this source.
    """

    kind: ClassVar[str]
    """The word used in TOML."""

    Config: ClassVar[type[SourceConfig]] = SourceConfig
    """Pydantic model whose fields are the TOML keys of ``[data]``."""

    received: frozenset[str] = frozenset()
    """Keys of ``[data]`` that come from the config of an opened run, and not from the user.

    A run may come from someone else. So a source reads what these keys name, and writes nothing
    there. Empty for a config that the user trains.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def splits(self) -> Mapping[SplitName, Split]:
        """Read the data: ``train`` at least; ``validation`` and ``test`` if there are any.

        Called by each command that needs data, before any codec is made. Every split has the
        same columns, with the same class names; an id is in one split only. Data larger than
        memory stay a :class:`mmvae.LazyValues`. A second call returns the same.

        Raises:
            DataError: Files are missing or malformed; the message says how to get them.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """A short hash that changes whenever the items or their order change.

        Called when a run starts, and again to check that the data are the same when it is resumed,
        evaluated or compared; so it should not depend on the machine.
        """

    def remarks(self) -> Sequence[str]:
        """Remarks on the data besides their sizes, one sentence each.

        ``mmvae data describe`` shows them: items that were left out, and why. Default: none.
        """
        return ()

    def doubts(self) -> Sequence[str]:
        """Possible mistakes in the data, one sentence each, besides values that codecs doubt.

        ``mmvae data check`` and ``mmvae data describe`` show them: rows without files, words taken
        as missing. Default: none.
        """
        return ()
