"""Distributed training: agreement between processes, and failures that reach all of them."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator

from mmvae.foundations.errors import TrainingError

STEPS_BETWEEN_TALKS = 10


def leading(accelerator: Accelerator) -> bool:
    """True on the main process, which writes files and shows progress."""
    return bool(accelerator.is_main_process)


def agreed(value: int, accelerator: Accelerator) -> int:
    """The maximum of all processes' values, known to all."""
    if accelerator.num_processes == 1:
        return value
    own = torch.tensor([value], device=accelerator.device)
    return int(accelerator.gather(own).max())


def talks(step: int, accelerator: Accelerator) -> bool:
    """True if processes communicate before this step; this makes them wait for each other."""
    return accelerator.num_processes == 1 or step % STEPS_BETWEEN_TALKS == 0


def leave_at_exit() -> None:
    """Leave the process group before this process ends.

    Otherwise the group's threads outlive it and sometimes abort it.
    """
    atexit.unregister(_leave)  # registered once, however often a process trains
    atexit.register(_leave)


def _leave() -> None:
    if torch.distributed.is_initialized():
        gc.collect()  # references to the group keep its threads alive
        torch.distributed.destroy_process_group()


@contextmanager
def everyone_follows(accelerator: Accelerator) -> Iterator[None]:
    """Run a block in which one process may fail; if it does, stop all of them.

    Without it, a failure on one process before a collective operation leaves the others waiting.

    Raises:
        TrainingError: Another process failed in its block.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # of any kind: it is reported to the others before it is raised
        failure = error
    failed = agreed(int(failure is not None), accelerator)
    if failure is not None:
        raise failure
    if failed:
        raise TrainingError("Another process failed; its own message says why.")
