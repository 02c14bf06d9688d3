"""The surroundings of a computation: settings of a process or thread that change results.

A caller may have set another default dtype or device, switched gradients off, or be within
autocast; threads share the settings of torch and Pillow, and torch's global generators. In any
case a computation here runs as in a fresh process, and restores everything afterwards.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from mmvae.foundations.errors import memory_error, out_of_memory
from mmvae.foundations.launch import launched
from mmvae.foundations.process_settings import ProcessSettings

_COMPUTING = threading.RLock()
"""Held by the training or evaluation that is running in this process."""


@contextmanager
def undisturbed() -> Iterator[None]:
    """Compute as in a fresh process: in float32, on the CPU by default, no autocast.

    Gradients are on. Several threads may be within at once.

    Raises:
        TrainingError: Memory ran out, and nothing within says where.
    """
    with ExitStack() as stack:
        stack.enter_context(_memory_errors())
        stack.enter_context(_PROCESS)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(_without_autocast())
        stack.enter_context(
            np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
        )
        yield


@contextmanager
def exclusive() -> Iterator[None]:
    """Like :func:`undisturbed`, but one at a time per process; other threads wait.

    For trainings and evaluations: they seed torch's global generators, and Accelerate keeps one
    state for the whole process. The number of threads that they set is restored after them.

    Raises:
        UsageError: Environment variables indicate several processes, but not how they connect.
    """
    with _COMPUTING, undisturbed(), launched():
        threads = torch.get_num_threads()
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)


_WITHIN = threading.local()


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Turn a failed allocation into an error, at the outermost of nested blocks.

    What lies between may know more of it, such as the size of batches.

    Raises:
        TrainingError: Memory ran out.
    """
    depth = getattr(_WITHIN, "depth", 0)
    _WITHIN.depth = depth + 1
    try:
        yield
    except Exception as error:
        if depth or not out_of_memory(error):
            raise
        raise memory_error(error) from error
    finally:
        _WITHIN.depth = depth


_PROCESS = ProcessSettings()


@contextmanager
def _without_autocast() -> Iterator[None]:
    """Switch autocast off, and its cache if autocast is active.

    Autocast forgets the weights that it has cast when the outermost block ends. A training within
    a caller's block would otherwise reuse those of its first step.
    """
    accelerator = torch.accelerator.current_accelerator()
    devices = ["cpu", *([accelerator.type] if accelerator is not None else [])]
    within = torch.autocast_increment_nesting() > 1
    torch.autocast_decrement_nesting()
    before = {device: torch.is_autocast_enabled(device) for device in devices}
    cache = torch.is_autocast_cache_enabled()
    try:
        for device in devices:
            torch.set_autocast_enabled(device, False)
        torch.set_autocast_cache_enabled(cache and not within)
        yield
    finally:
        for device, enabled in before.items():
            torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_cache_enabled(cache)
