"""Out of memory: advice on the batch size or widths to try instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from mmvae.foundations.errors import TrainingError, out_of_memory
from mmvae.training.config import TrainConfig


def out_of_memory_advice(config: TrainConfig) -> AbstractContextManager[None]:
    """Turn a failed allocation in the block into an error with advice.

    Raises:
        TrainingError: The block ran out of memory.
    """
    return _told(
        lambda error: (
            f"Out of memory at train.batch_size = {config.batch_size}, train.accumulation = "
            f"{config.accumulation}. {advice(config)}"
        )
    )


def memory_for_networks() -> AbstractContextManager[None]:
    """Turn a failed allocation in a block that builds networks into an error that says so.

    Raises:
        TrainingError: The block ran out of memory.
    """
    return _told(
        lambda error: (
            f"Out of memory while the networks are built ({' '.join(str(error).split())[:200]}). "
            f"Make them narrower or fewer: the widths in [modalities] and [model], such as "
            f"encoder, decoder and model.latent_dim."
        )
    )


@contextmanager
def _told(message: Callable[[Exception], str]) -> Iterator[None]:
    """Turn a failed allocation in the block into an error with this message."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise TrainingError(message(error)) from error


def advice(config: TrainConfig) -> str:
    """Advice: smaller parts, smaller batches, or data that stay on disk."""
    ways = ["-s data.resident=false if the data themselves are too large"]
    if config.batch_size > 1:
        ways.insert(0, f"-s train.batch_size={config.batch_size // 2} in a new run")
    if config.accumulation < config.batch_size:
        parts = min(2 * config.accumulation, config.batch_size)
        ways.insert(0, f"-s train.accumulation={parts} (the same result with less memory)")
    return f"Try {'; or '.join(ways)}."
