"""Assembly of an experiment's parts: accelerator, data, codecs, model.

Only this module looks up in the registry what a config names.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import (
    InitProcessGroupKwargs,
    is_tensorboard_available,
)

from mmvae.data.dataset import Data, open_data
from mmvae.data.memory import MemorySource
from mmvae.data.mixing import check_batches
from mmvae.data.source import Source
from mmvae.evaluation.metric import Metric
from mmvae.experiments.compatibility import initialise_from
from mmvae.experiments.experiment import Experiment
from mmvae.foundations.errors import ConfigError, UsageError, naming
from mmvae.foundations.randomness import derived_seed, seeded_global
from mmvae.inference.model_folder import load_model
from mmvae.modalities.codec import Codec
from mmvae.modalities.codec_config import CodecConfig
from mmvae.modalities.recipe import State
from mmvae.models.base import Model
from mmvae.models.extension import Extension
from mmvae.models.families import Shapes
from mmvae.models.trainable import Trainable
from mmvae.plugins.guard import guarded_codec
from mmvae.plugins.registry import Registry
from mmvae.training.config import TrainConfig
from mmvae.training.distributed import leave_at_exit
from mmvae.training.metric_observer import Measuring
from mmvae.training.observer import Observer
from mmvae.training.out_of_memory import memory_for_networks

PROCESS_TIMEOUT_S = 300
"""Seconds after which a process stops waiting for a lost one."""


def make_accelerator(
    config: TrainConfig, folder: Path | None = None, patience_s: float = PROCESS_TIMEOUT_S
) -> Accelerator:
    """Build the Accelerator that ``[train]`` describes: device, precision, processes, trackers.

    Args:
        config: The ``[train]`` section.
        folder: The run's folder, where trackers write; it need not exist yet. None without
            trackers.
        patience_s: Time that processes wait for each other.

    Raises:
        ConfigError: A tracker's package is not installed.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    cpu = config.device == "cpu" or not torch.accelerator.is_available()
    if config.trackers and not is_tensorboard_available():
        raise ConfigError(
            "train.trackers = ['tensorboard']: TensorBoard is not installed. "
            "pip install 'mmvae[tensorboard]', or leave train.trackers out."
        )
    # Reset: device and precision may change between runs, and unfinished accumulation of the
    # caller's own training must not delay ours. The process group is kept.
    alone = not PartialState._shared_state or PartialState().num_processes == 1
    AcceleratorState._reset_state(reset_partial_state=alone)
    GradientState._reset_state()
    accelerator = Accelerator(
        cpu=cpu,
        mixed_precision={"float32": "no", "bfloat16": "bf16"}[config.precision],
        log_with=list(config.trackers) or None,
        project_dir=folder,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=patience_s))],
    )
    if accelerator.num_processes > 1:
        leave_at_exit()
    return accelerator


def open_experiment_data(
    experiment: Experiment,
    registry: Registry,
    data: Any,
    accelerator: Accelerator,
    states: Mapping[str, State] | None = None,
    received: frozenset[str] = frozenset(),
) -> Data:
    """The experiment's data with fitted codecs, on the accelerator's device.

    Args:
        experiment: The experiment.
        registry: The plugins to choose from.
        data: The items for a source in memory.
        accelerator: Device and processes.
        states: The states of codecs that are fitted already.
        received: Keys of ``[data]`` that come from an opened run; see
            :attr:`mmvae.Source.received`.

    Raises:
        DataError: The data cannot be read, or a codec refuses them.
        ConfigError: A codec mixes items, and dividing batches would change its results.
    """
    source = open_source(experiment, registry, data, received)
    opened = open_data(source, recipes(experiment, registry), states, accelerator.device)
    train, items = experiment.train, len(opened.splits["train"])
    check_batches(
        opened.codecs,
        items,
        train.batch_size,
        train.drop_last,
        train.accumulation,
        accelerator.num_processes,
    )
    return opened


def open_source(
    experiment: Experiment,
    registry: Registry,
    data: Any = None,
    received: frozenset[str] = frozenset(),
) -> Source:
    """The experiment's source, not yet read; see :func:`open_experiment_data`.

    Raises:
        UsageError: Data were given to a source that reads its own.
        DataError: They were not given to a source in memory.
    """
    config = experiment.data
    source_class = registry.find("source", config.source)
    memory = issubclass(source_class, MemorySource)
    if data is not None and not memory:
        raise UsageError(
            f"data= was given, but data.source = {config.source!r}: leave one of the two out."
        )
    source: Source = MemorySource(config, data) if memory else source_class(config)
    source.received = received
    return source


def recipes(
    experiment: Experiment, registry: Registry
) -> dict[str, tuple[type[Codec], CodecConfig]]:
    """Modality → codec class, under guard, and its validated config."""
    return {m: (guarded_codec(registry, c.codec), c) for m, c in experiment.modalities.items()}


def build_model(experiment: Experiment, registry: Registry, codecs: Mapping[str, Codec]) -> Model:
    """Build the model with its initial weights: a function of the config and the seed only.

    Raises:
        ConfigError: Training items lack modalities, and the model does not support that.
        TrainingError: Memory ran out.
    """
    kind: type[Model] = registry.find("model", experiment.model.kind)
    refuse_missing(f"A {experiment.model.kind!r} model", kind, codecs)
    with memory_for_networks(), seeded_global(derived_seed(experiment.train.seed, "weights")):
        found = shapes(experiment, registry)
        return (
            kind(experiment.model, codecs, found) if found.any else kind(experiment.model, codecs)
        )


def shapes(experiment: Experiment, registry: Registry) -> Shapes:
    """The families that the config chose for distributions over z."""
    chosen = {"posterior": experiment.posterior, "prior": experiment.prior}
    tables = {name: c.model_dump(mode="json") for name, c in chosen.items() if c is not None}
    return Shapes.of(tables, partial(registry.find, "family"))


def extended(experiment: Experiment, registry: Registry, model: Model) -> Trainable:
    """Wrap the model in the extensions that the config enables, in their order.

    Each has initial weights that depend only on the config and the seed. They do not affect the
    model's own.

    Raises:
        ConfigError: An extension does not fit the model, or does not support missing modalities;
            or nothing is trained at first.
    """
    trained: Trainable = model
    for kind, config in experiment.extensions.items():
        extension: type[Extension] = registry.find("extension", kind)
        refuse_missing(f"The extension [{kind}]", extension, model.codecs)
        seed = derived_seed(experiment.train.seed, "weights", kind)
        with memory_for_networks(), seeded_global(seed):
            trained = extension(config, trained)
    later = [p for p in trained.phases() if p.parameters]  # phases without any are frozen
    if all(phase.first_epoch > 0 for phase in later):
        raise ConfigError(
            f"Nothing is trained in the first epoch: of all phases only "
            f"{', '.join(phase.name for phase in later)} has weights that train.freeze does not "
            f"fix, and begins later. Set its first epoch to 0."
        )
    return trained


def metrics(
    experiment: Experiment, registry: Registry, codecs: Mapping[str, Codec]
) -> dict[str, Metric]:
    """The metrics that the config names, by their names.

    Raises:
        ConfigError: One cannot measure the modality that it names.
        PluginError: One fails in its check.
    """
    found: dict[str, Metric] = {}
    for name, config in experiment.metrics.items():
        found[name] = registry.find("metric", config.kind)(config)
        with naming(f"metrics.{name}: the metric {config.kind!r}", "check"):
            try:
                found[name].check(codecs)
            except ConfigError as error:
                raise ConfigError(f"metrics.{name}: {error}") from error
    return found


def observers(
    experiment: Experiment, registry: Registry, codecs: Mapping[str, Codec]
) -> list[Observer]:
    """The observers of the training: metrics measured at intervals, then those of the config.

    Raises:
        ConfigError: A metric, measured now or in an evaluation, does not fit the modalities.
    """
    shared: dict[Hashable, Any] = {}
    measuring: list[Observer] = [
        Measuring(metric, name, shared)
        for name, metric in metrics(experiment, registry, codecs).items()
        if metric.config.every is not None
    ]
    chosen = experiment.observers.items()
    named = [registry.find("observer", c.kind)(c, name) for name, c in chosen]
    return measuring + named


def refuse_missing(what: str, kind: type[Trainable], codecs: Mapping[str, Codec]) -> None:
    """Raise if training items lack modalities, for parts that need complete items.

    Raises:
        ConfigError: Training items lack some.
    """
    lacking = [m for m, codec in codecs.items() if codec.sometimes_missing]
    if lacking and not kind.takes_missing:
        raise ConfigError(
            f"{what} takes complete items only, but training items lack {', '.join(lacking)}. "
            f"Leave incomplete items out with data.incomplete = 'discard', or train a model for "
            f"them: model.kind = 'jmvae', without extensions that refuse missing modalities."
        )


def prepare_for_missing(model: Model, data: Data) -> None:
    """If training items lack modalities, pass their patterns to the model.

    Raises:
        ConfigError: The model cannot learn from these patterns something that it has to.
    """
    if any(codec.sometimes_missing for codec in model.codecs.values()):
        model.learn_patterns(data.patterns)


def build_trainable(
    experiment: Experiment, registry: Registry, data: Data, origin: str | Path | None = None
) -> Trainable:
    """Build the model with its extensions and patterns of missing modalities, and freeze weights.

    Args:
        experiment: The experiment.
        registry: The plugins to choose from.
        data: Its data.
        origin: A run or model folder with the model's initial weights; None builds them.

    Raises:
        CheckpointError: The weights of ``origin`` do not fit.
        ConfigError: Parts do not fit each other or the data.
    """
    model = build_model(experiment, registry, data.codecs)
    if origin is not None:
        initialise_from(model, load_model(origin, registry), origin)
    prepare_for_missing(model, data)
    model.freeze(experiment.train.freeze)
    return extended(experiment, registry, model)
