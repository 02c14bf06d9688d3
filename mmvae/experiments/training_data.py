"""The data of a training: the same on every process, and prepared before the first step."""

from __future__ import annotations

from accelerate import Accelerator

from mmvae.data.dataset import Data
from mmvae.experiments.compatibility import refuse_idle_keys, refuse_unequal_data
from mmvae.experiments.experiment import Experiment
from mmvae.training.distributed import everyone_follows, leading


def agreed(data: Data, experiment: Experiment, accelerator: Accelerator) -> Data:
    """Return the data of a training if all processes have the same, and every key has an effect.

    Raises:
        DataError: Processes have different data.
        ConfigError: A key has no effect with these data.
    """
    refuse_unequal_data(data, accelerator)
    refuse_idle_keys(experiment, data)
    return data


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
