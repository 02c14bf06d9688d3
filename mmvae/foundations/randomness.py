"""Every random draw is a function of (seed, purpose, step) for the global batch.

No draw depends on earlier draws, on the number of processes, on accumulation or on where a run was
stopped: a process draws for the whole batch and takes its rows.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def derived_seed(seed: int, *key: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and every part of ``key``."""
    text = repr((seed, *key)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def generator(seed: int, *key: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return a fresh generator for one purpose, for example ``generator(seed, "noise", step)``."""
    return torch.Generator(device=device).manual_seed(derived_seed(seed, *key))


GLOBAL = threading.RLock()
"""Held by the thread that uses torch's global generators: a process has only one of each."""


def seed_global(seed: int, device: torch.device | str = "cpu") -> None:
    """Seed torch's global generators of the CPU and of ``device``, for layers such as dropout.

    Call it, and draw from them, only within :data:`GLOBAL`. Unlike ``torch.manual_seed`` it does
    not touch unused devices: these queue a call and a stack trace each time, which leaks memory at
    every step of a training.
    """
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type != "cpu":
        torch.get_device_module(device).manual_seed(seed)


@contextmanager
def seeded_global(seed: int) -> Iterator[None]:
    """Seed torch's global generators within the block, and restore them after it.

    It covers those of the CPU and of all accelerators, unless no accelerator is in use: see
    :func:`seed_global`. Other threads that want to seed them wait.
    """
    accelerator = torch.accelerator.current_accelerator()
    module: Any = None if accelerator is None else torch.get_device_module(accelerator)
    used = module is not None and getattr(module, "is_initialized", lambda: True)()
    with GLOBAL, torch.random.fork_rng(range(torch.accelerator.device_count()) if used else ()):
        torch.default_generator.manual_seed(seed)
        if used:
            getattr(module, "manual_seed_all", module.manual_seed)(seed)
        yield


@contextmanager
def kept_global(device: torch.device | str = "cpu") -> Iterator[None]:
    """Restore torch's global generators of the CPU and of ``device`` at the end of the block.

    Other threads may use them meanwhile, each within :data:`GLOBAL`.
    """
    kind = torch.device(device).type
    module: Any = None if kind == "cpu" else torch.get_device_module(device)
    with GLOBAL:
        before = torch.default_generator.get_state()
        theirs = None if module is None else module.get_rng_state(device)
    try:
        yield
    finally:
        with GLOBAL:
            torch.default_generator.set_state(before)
            if module is not None:
                module.set_rng_state(theirs, device)


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """Return the order of ``n`` items in ``epoch``: a pure function of (seed, epoch)."""
    return torch.randperm(n, generator=generator(seed, "order", epoch))


def sample(n: int, most: int, seed: int, purpose: str) -> Tensor:
    """Some of ``n`` items, ascending, int64: all, or ``most`` of them drawn without replacement.

    It is a pure function of its arguments, so that every model is measured on the same items.
    """
    if n <= most:
        return torch.arange(n)
    chosen = torch.randperm(n, generator=generator(seed, "sample", purpose))[:most]
    return chosen.sort().values


class StepDraws:
    """The random numbers of one training or evaluation step, for this process's rows.

    Every draw is made for the global batch and cut to ``rows``, so that an item's numbers depend
    neither on the number of processes nor on accumulation.

    Args:
        seed: The run's seed.
        purpose: The purpose of the step: ``"train"``, ``"validation"``, …
        step: Global step, or the number of the chunk in an evaluation.
        rows: This process's rows of the global batch.
        total: Items in the global batch.
        device: The device of the results. Numbers are drawn on the CPU, so that devices agree;
            only views are drawn on the items' device, so these differ between kinds of device.
    """

    def __init__(
        self,
        seed: int,
        purpose: str,
        step: int,
        rows: slice,
        total: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.seed, self.purpose, self.step = seed, purpose, step
        self.rows, self.total, self.device = rows, total, device

    def generator(self, name: str) -> torch.Generator:
        """A fresh generator for the draw called ``name``; the same on every process."""
        return generator(self.seed, self.purpose, self.step, name)

    def normal(self, name: str, *event: int) -> Tensor:
        """Standard normal numbers, shape (rows, event…)."""
        drawn = torch.randn(self.total, *event, generator=self.generator(name))
        return drawn[self.rows].to(self.device, non_blocking=True)

    def choice(self, name: str, n: int, count: int) -> list[int]:
        """``count`` of ``n`` indices without replacement, ascending; equal on every process."""
        chosen = torch.randperm(n, generator=self.generator(name))[:count]
        return [int(i) for i in chosen.sort().values]

    def take(self, rows: Tensor) -> StepDraws:
        """The draws of some of the rows, int64 (g,): each keeps its numbers."""
        return _Taken(self, rows)

    def resample(
        self, name: str, view: Callable[[Tensor, torch.Generator], Tensor], x: Tensor
    ) -> Tensor:
        """Apply a codec's ``resample`` or ``fixed`` to this process's rows ``x`` (b, event…).

        The codec draws for the global batch; other processes' rows are blank, which is harmless
        since its draws must not depend on values.
        """
        source = generator(self.seed, self.purpose, self.step, "view", name, device=x.device)
        if len(x) == self.total:
            return view(x, source)
        batch = x.new_zeros(self.total, *x.shape[1:])
        batch[self.rows] = x
        return view(batch, source)[self.rows]


class _Taken(StepDraws):
    """Some rows of other draws, for draws after the codecs' views."""

    def __init__(self, draws: StepDraws, rows: Tensor) -> None:
        super().__init__(
            draws.seed, draws.purpose, draws.step, draws.rows, draws.total, draws.device
        )
        self._draws, self._taken = draws, rows

    def normal(self, name: str, *event: int) -> Tensor:
        """See :meth:`StepDraws.normal`."""
        drawn = self._draws.normal(name, *event)
        return drawn[self._taken.to(drawn.device)]


class ItemDraws(StepDraws):
    """The random numbers of an evaluation: they belong to items, for any chunk size.

    Items of a split are numbered, and each block of them has generators of its own, so that an
    item's numbers depend neither on the size of a chunk nor on the number of processes.

    Args:
        seed: The run's seed.
        purpose: The purpose of the evaluation: ``"validation"``, …
        items: The items of the split in the batch: a span, or their numbers, ascending.
        device: The device of the results, as for :class:`StepDraws`.
    """

    BLOCK = 64

    def __init__(
        self, seed: int, purpose: str, items: slice | Tensor, device: torch.device | str = "cpu"
    ) -> None:
        span = items if isinstance(items, slice) else slice(int(items[0]), int(items[-1]) + 1)
        super().__init__(seed, purpose, 0, span, span.stop, device)
        self.items = numbers_of(items)

    def _blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Number of each block that contains items, and the rows of these items."""
        blocks, counts = torch.unique_consecutive(self.items // self.BLOCK, return_counts=True)
        rows = torch.split(self.items % self.BLOCK, counts.tolist())
        yield from zip(blocks.tolist(), rows, strict=True)

    def normal(self, name: str, *event: int) -> Tensor:
        """See :meth:`StepDraws.normal`."""
        parts = []
        for block, rows in self._blocks():
            source = generator(self.seed, self.purpose, block, name)
            parts.append(torch.randn(self.BLOCK, *event, generator=source)[rows])
        return torch.cat(parts).to(self.device, non_blocking=True)

    def resample(
        self, name: str, view: Callable[[Tensor, torch.Generator], Tensor], x: Tensor
    ) -> Tensor:
        """See :meth:`StepDraws.resample`; codecs draw for a whole block."""
        parts, taken = [], 0
        for block, rows in self._blocks():
            whole = x.new_zeros(self.BLOCK, *x.shape[1:])
            where, count = rows.to(x.device), len(rows)
            whole[where] = x[taken : taken + count]
            source = generator(self.seed, self.purpose, block, "view", name, device=x.device)
            parts.append(view(whole, source)[where])
            taken += count
        return torch.cat(parts)


def numbers_of(items: slice | Tensor) -> Tensor:
    """The numbers of some items, int64 on the CPU: of a span, or as they are given."""
    return items if isinstance(items, Tensor) else torch.arange(items.start, items.stop)
