"""The training items of the classifiers of generated values: ``evaluate.judge_data``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from mmvae.data.batches import Batches
from mmvae.data.dataset import open_data
from mmvae.experiments.build import open_source, recipes
from mmvae.experiments.config import load_experiment, resolved
from mmvae.experiments.experiment import Experiment
from mmvae.foundations.errors import ConfigError, DataError, UsageError
from mmvae.foundations.toml import dotted, dumps, literal, parse
from mmvae.modalities.codec import Codec
from mmvae.plugins.registry import Registry


def with_classifier_data(experiment: Experiment, registry: Registry) -> Experiment:
    """The experiment with the training data of its classifiers.

    Args:
        experiment: The experiment.
        registry: The plugins to choose from.

    Raises:
        ConfigError: A key does not belong to ``[data]`` or its value is wrong.
    """
    keys = experiment.evaluate.judge_data
    if not keys:
        return experiment
    texts = [f"{dotted(('data', key))}={literal(value, 1 << 20)}" for key, value in keys.items()]
    with _named(experiment):
        values = parse(dumps(resolved(experiment)), "the config")
        return load_experiment(values, texts, registry).experiment


def classifier_batches(
    experiment: Experiment,
    registry: Registry,
    data: Any,
    codecs: Mapping[str, Codec],
    device: torch.device,
    received: frozenset[str] = frozenset(),
) -> Batches:
    """The training items that the classifiers learn from.

    Args:
        experiment: The experiment.
        registry: The plugins to choose from.
        data: The items of a source in memory.
        codecs: The codecs, fitted to the model's training items.
        device: The device of the batches.
        received: Keys of ``[data]`` that come from an opened run; see
            :attr:`mmvae.Source.received`.

    Raises:
        ConfigError: As :func:`with_classifier_data`.
        DataError: They cannot be read, or a codec refuses a value.
    """
    classifier_experiment = with_classifier_data(experiment, registry)
    states = {m: codec.state for m, codec in codecs.items()}
    received = received and received | experiment.evaluate.judge_data.keys()
    with _named(experiment):
        source = open_source(classifier_experiment, registry, data, received)
        opened = open_data(source, recipes(classifier_experiment, registry), states, device)
        opened.verify("train")
        return opened.batches("train")


def check_classifier_data(
    experiment: Experiment, registry: Registry, data: Any, codecs: Mapping[str, Codec]
) -> None:
    """Refuse, before a training rather than after, data that its classifiers cannot learn from.

    Raises:
        ConfigError: As :func:`with_classifier_data`.
        DataError: They cannot be read, or a codec refuses a value.
    """
    if experiment.evaluate.judge_data and experiment.evaluate.coherence:
        classifier_batches(experiment, registry, data, codecs, torch.device("cpu"))


@contextmanager
def _named(experiment: Experiment) -> Iterator[None]:
    """Name the key in errors."""
    try:
        yield
    except (ConfigError, DataError, UsageError) as error:
        keys = literal(experiment.evaluate.judge_data)
        raise type(error)(f"evaluate.judge_data = {keys}: {error}") from None
