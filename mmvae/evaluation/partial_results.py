"""Partial results: values per item that are stored as they are computed, and never recomputed.

Long evaluations process the items of a split shard by shard. Each shard is one file, so a
stopped evaluation resumes where it was, and several processes divide the shards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from mmvae.foundations import storage
from mmvae.foundations.errors import RunError
from mmvae.runs.manifest import read_checked_tensors, tensors_with_checksum

Shard = dict[str, Tensor]
"""Name → values of some items, float64 (b,)."""


class PartialResults:
    """The shards of one evaluation.

    Args:
        folder: The folder of its files; None keeps them in memory.
        made_with: Everything that the values depend on; values made with anything else don't
            count.
        rank: Number of this process.
        processes: Number of processes that share the work; each needs the same folder.
        check: Called before anything is written; raises an error if the folder was replaced.

    Raises:
        RunError: Several processes without a folder.
    """

    def __init__(
        self,
        folder: Path | None = None,
        made_with: Mapping[str, Any] | None = None,
        rank: int = 0,
        processes: int = 1,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        if folder is None and processes > 1:
            raise RunError("Several processes can only share an evaluation through a run folder.")
        digest = hashlib.sha256(json.dumps(made_with, sort_keys=True).encode()).hexdigest()[:16]
        self.folder = None if folder is None else folder / digest
        self.rank, self.processes, self.check = rank, processes, check
        self._memory: dict[str, Shard] = {}
        if folder is not None:
            check()
            storage.inner_folder(storage.inner_folder(folder.parent, folder.name), digest)

    def missing(
        self, items: int, size: int, names: Collection[str] | None = None
    ) -> Iterator[slice]:
        """The spans of ``size`` of ``items`` that this process still has to compute.

        Args:
            items: Number of items.
            size: Number of items of a span.
            names: The names of the values; a stored span with other names is computed again. Any
                names are accepted if None.
        """
        for number, span in enumerate(spans(items, size)):
            if number % self.processes == self.rank and self._read(span, names) is None:
                yield span

    def keep(self, span: slice, shard: Shard) -> None:
        """Store the values of a span of items."""
        name, values = _name(span), {k: v.detach().cpu().contiguous() for k, v in shard.items()}
        if self.folder is None:
            self._memory[name] = values
        else:
            self.check()
            storage.write_bytes(self.folder / name, tensors_with_checksum(values, {}))

    def whole(self, items: int, size: int, names: Collection[str] | None = None) -> Shard:
        """The values of all items, in their order; the arguments are those of `missing`.

        Raises:
            RunError: A span is missing.
        """
        shards = []
        for span in spans(items, size):
            shard = self._read(span, names)
            if shard is None:
                raise RunError(
                    f"{self.folder}: the values of items {span.start} to {span.stop - 1} are "
                    f"missing or damaged. Evaluate again: all others are kept."
                )
            shards.append(shard)
        return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}

    def remove(self) -> None:
        """Remove the stored values of this evaluation; values made with other settings stay."""
        self._memory.clear()
        if self.folder is not None:
            self.check()
            storage.remove_folder(self.folder)
            with suppress(OSError):  # it still holds other files
                self.folder.parent.rmdir()

    def _read(self, span: slice, names: Collection[str] | None) -> Shard | None:
        """The values of a span, or None if they are absent, damaged, or not those of its items."""
        name = _name(span)
        if self.folder is None:
            return self._memory.get(name)
        try:
            shard = read_checked_tensors(storage.read(self.folder / name))[0]
        except (OSError, ValueError, safetensors.SafetensorError):
            return None
        form = (torch.float64, (span.stop - span.start,))
        whole = all((values.dtype, tuple(values.shape)) == form for values in shard.values())
        return shard if whole and (names is None or shard.keys() == set(names)) else None


def spans(items: int, size: int) -> list[slice]:
    """Consecutive spans of ``size`` items, the last one shorter."""
    return [slice(start, min(start + size, items)) for start in range(0, items, size)]


def _name(span: slice) -> str:
    return f"{span.start:09d}-{span.stop:09d}.safetensors"
