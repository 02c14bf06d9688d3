"""The data of a training: the same on every process, and prepared before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator

from mmvae.data.dataset import Data
from mmvae.experiments.build import open_experiment_data
from mmvae.experiments.compatibility import refuse_idle_keys, refuse_unequal_data
from mmvae.experiments.experiment import Experiment
from mmvae.modalities.codec import State
from mmvae.plugins.registry import Registry
from mmvae.training.distributed import everyone_follows, leading


def open_agreed(
    experiment: Experiment,
    registry: Registry,
    data: Any,
    accelerator: Accelerator,
    states: Mapping[str, State] | None = None,
    received: frozenset[str] = frozenset(),
) -> Data:
    """Open the data of a training; all processes have the same, and every key has an effect.

    Raises:
        DataError: They cannot be read, a codec refuses them, or processes have different ones.
        ConfigError: A key has no effect with these data.
    """
    opened = open_experiment_data(experiment, registry, data, accelerator, states, received)
    refuse_unequal_data(opened, accelerator)
    refuse_idle_keys(experiment, opened)
    return opened


def prepare_all(data: Data, accelerator: Accelerator) -> None:
    """Prepare every split before the first step, so that no later command refuses a value.

    The test split is prepared once, on the main process, and not kept. The same holds for splits
    that are read lazily, except the training split: the first epoch reads it anyway.

    Raises:
        DataError: A value is outside its codec's support.
    """
    for split in data.splits:
        if split != "test":
            data.batches(split)
    with everyone_follows(accelerator):
        for split in data.splits if leading(accelerator) else ():
            if split != "train":
                data.verify(split)


def without_evaluation(split: str, data: Data) -> str:
    """A message if the data lack the split of evaluations."""
    others = ", ".join(name for name in data.splits if name != "train") or "train"
    return (
        f"the data have no {split} split, which evaluate.split = {split!r} names: `mmvae "
        f"evaluate` and figures of items will need --split {others}"
    )
