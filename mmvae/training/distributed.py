"""Several processes acting as one: agreement, and failures that reach everyone."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import Accelerator

from mmvae.foundations.errors import TrainingError


def leading(accelerator: Accelerator) -> bool:
    """Whether this is the process that writes and shows."""
    return bool(accelerator.is_main_process)


def agreed(value: int, accelerator: Accelerator) -> int:
    """The largest of all processes' values, known to all."""
    if accelerator.num_processes == 1:
        return value
    own = torch.tensor([value], device=accelerator.device)
    return int(accelerator.gather(own).max())


def leave_at_exit() -> None:
    """Leave the group of processes before this one ends.

    Its threads would otherwise meet the end of the process, and sometimes abort it.
    """
    atexit.unregister(_leave)  # once is enough, however often a process trains
    atexit.register(_leave)


def _leave() -> None:
    if torch.distributed.is_initialized():
        gc.collect()  # what still refers to the group keeps its threads
        torch.distributed.destroy_process_group()


@contextmanager
def everyone_follows(accelerator: Accelerator) -> Iterator[None]:
    """Run a block in which one process may fail; if it does, all of them stop.

    Without it, a failure on one process before a collective leaves the others waiting.

    Raises:
        TrainingError: Another process failed in its block.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:  # of any kind: the others must learn of it before it is raised
        failure = error
    failed = agreed(int(failure is not None), accelerator)
    if failure is not None:
        raise failure
    if failed:
        raise TrainingError("Another process failed; its own message says why.")
