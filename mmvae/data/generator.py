"""The maker contract: data sets that a program creates from a seed, as files of a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field


class MakerConfig(BaseModel):
    """Common settings of all makers; a maker's own Config may narrow them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    items: int = Field(ge=1, description="Number of items to generate.")
    seed: int = Field(
        0,
        ge=0,
        description="Seed of the generator. The same seed gives the same items.",
    )


class Maker(ABC):
    """A data set that ``mmvae data make KIND`` can create.

    A maker defines the content of the files. The core decides where they go, how many processes
    create them, and how an interrupted run resumes. So a file's content may depend only on the
    configuration and its items: an item is the same for any number of items made.

    Args:
        config: The validated ``Config`` of this maker. It must be possible to pickle the class by
            name, because other processes create one of their own.
    """

    kind: ClassVar[str]
    """The word used on the command line."""

    Config: ClassVar[type[MakerConfig]] = MakerConfig
    """Pydantic model of its settings."""

    def __init__(self, config: Any) -> None:
        self.config = config

    @abstractmethod
    def make(self, rows: range) -> Iterator[tuple[str, bytes]]:
        """The files of these items, from 0: path below the folder, and content in bytes.

        Called for a few dozen items at a time, in any order and perhaps in another process. Paths
        are relative, with ``/`` between their parts; no two items may share one.
        """

    @abstractmethod
    def finish(self) -> Iterator[tuple[str, bytes]]:
        """The files about all items together, likewise; called once, after all items are made.

        This object may have made none of the items itself.
        """
