"""Compatibility of a run, or of a model's initial weights, with the present keys, data, codecs."""

from __future__ import annotations

import hashlib
import json
import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from mmvae.data.dataset import Data
from mmvae.data.memory import as_bytes
from mmvae.data.missing import presence
from mmvae.data.split_names import SPLITS
from mmvae.experiments.config import LoadedConfig
from mmvae.experiments.experiment import Experiment
from mmvae.foundations import toml
from mmvae.foundations.errors import CheckpointError, ConfigError, DataError
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.codec import Codec
from mmvae.models.base import Model
from mmvae.models.families import TABLES
from mmvae.runs.run import Run
from mmvae.training.config import FIXED_KEYS, TrainConfig
from mmvae.training.distributed import agreed
from mmvae.training.state import describe_model, load_weights

QUICK_ROWS = 16
"""Items of a split that processes compare."""


def changed_data(run: Run, data: Data) -> str | None:
    """A message if the data differ from those that a run was trained on; None if they are equal.

    Raises:
        RunError: ``env.json`` cannot be read.
    """
    recorded = run.environment()["data"]
    before, now = recorded["fingerprint"], data.source.fingerprint()
    if before == now:
        return None
    ours = {name: len(split) for name, split in data.splits.items()}
    theirs = recorded["items"]
    counts = [counted(items) if ours != theirs else "" for items in (theirs, ours)]
    return (
        f"{run.folder} was trained on data with fingerprint {before}{counts[0]}, these have "
        f"{now}{counts[1]}."
    )


def counted(items: Mapping[Any, int]) -> str:
    """Number of items of the splits: `` (900 train, 50 test)``."""
    return f" ({', '.join(f'{items[name]} {name}' for name in SPLITS if name in items)})"


def refuse_unequal_data(data: Data, accelerator: Accelerator) -> None:
    """Check that all processes have the same items; each reads its rows from its own copy.

    Raises:
        DataError: They differ in the number of items, in missing modalities or in sampled values.
    """
    number = int.from_bytes(quick_hash(data)[:7])  # it and its negative fit into an int64
    if agreed(number, accelerator) != -agreed(-number, accelerator):
        items = {name: len(split) for name, split in data.splits.items()}
        raise DataError(
            f"The processes have different data: this one has some{counted(items)}, another has "
            f"other items, other missing modalities or another order. Give each process all items "
            f"in the same order; it takes its rows of each batch by itself."
        )


def quick_hash(data: Data) -> bytes:
    """A hash of cheap properties: number of items, missing modalities, a few raw values."""
    digest = hashlib.sha256()
    for name, split in data.splits.items():
        digest.update(f"{name}/{len(split)}/".encode())
        digest.update(presence(split, data.columns).tobytes())
        few = np.linspace(0, len(split) - 1, QUICK_ROWS).astype(np.int64)
        for column in data.columns.values():
            for value in split.columns[column].take(few).without_missing().read().values:
                digest.update(as_bytes(value))
    return digest.digest()


def initialise_from(model: Model, trained: TrainedModel, origin: str | Path) -> None:
    """Copy the weights of a trained model, loaded from ``origin``, to a new model.

    Posteriors and a prior keep their initial weights if their family or its keys differ.

    Raises:
        CheckpointError: The weights belong to another model, or the fitted codecs differ.
    """
    for modality, codec in model.codecs.items():
        if modality in trained.codecs:  # if not, the weights differ
            refuse_another_codec(modality, trained.codecs[modality], codec, origin)
    before, now = trained.model.shapes, model.shapes
    new = [
        name
        for table in TABLES
        if before.chosen(table) != now.chosen(table)
        for name in (*trained.model.weights_of(table), *model.weights_of(table))
    ]
    try:
        load_weights(model, trained.model.state_dict(), str(origin), new)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{_other_keys(trained.model, model)}") from None


def _other_keys(theirs: Model, ours: Model) -> str:
    """A sentence on the keys of ``[model]`` whose values differ; empty if none do."""
    before, now = theirs.config.model_dump(), ours.config.model_dump()
    other = [
        f"{key} = {toml.literal(before[key])}, here {toml.literal(now[key])}"
        for key in before
        if key in now and before[key] != now[key]
    ]
    return f" Keys of [model] that differ: {'; '.join(other)}." if other else ""


def refuse_another_codec(modality: str, theirs: Codec, ours: Codec, origin: str | Path) -> None:
    """Refuse a codec that differs from the one that the weights were trained with.

    Raises:
        CheckpointError: Kind or state of the codecs differ; the first difference is named.
    """
    before, now = {"codec": theirs.kind, **theirs.state}, {"codec": ours.kind, **ours.state}
    for key in {**before, **now}:
        if not same_value(before.get(key), now.get(key)):
            raise CheckpointError(
                f"{origin}: its weights belong to modality {modality!r} with {key} = "
                f"{shown(before.get(key))}, here it is {shown(now.get(key))}. Set "
                f"modalities.{modality} so that they agree, or train without --init-from."
            )


def same_value(a: Any, b: Any) -> bool:
    """True if two values of a codec's state are equal; a tuple equals a list."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return False
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def shown(value: Any) -> str:
    """Format a value of a codec's state for a message."""
    return reprlib.repr(value.tolist() if isinstance(value, Tensor) else value)


def refuse_another_experiment(before: LoadedConfig, after: LoadedConfig) -> None:
    """Check that a run resumes with its data, order of items and model.

    Other ``train`` keys may change.

    Raises:
        ConfigError: The value of another key changed.
    """
    old, new = toml.flatten(before.values), toml.flatten(after.values)
    for path in [*new, *(old.keys() - new.keys())]:
        if old.get(path) == new.get(path):
            continue
        key = toml.dotted(path)
        change = f"-s {key}={toml.literal(new.get(path))}"
        if path[0] != "train":
            raise ConfigError(
                f"{change}: a resumed run keeps its data and model; only train.… may "
                f"change. For another experiment use: mmvae train CONFIG --init-from RUN"
            )
        if path[1] == "freeze":
            raise ConfigError(
                f"{change}: a resumed run keeps its frozen weights. Train a new run that starts "
                f"with its weights: mmvae train CONFIG --init-from RUN"
            )
        if path[1] in FIXED_KEYS:
            raise ConfigError(
                f"{change}: a resumed run keeps its order of items, and {key} would "
                f"change it. Leave it out; for less memory use -s train.accumulation=…, for "
                f"another experiment: mmvae train CONFIG --init-from RUN"
            )


def refuse_another_model(loaded: LoadedConfig, model: Model, run: Run) -> None:
    """Check that a run's config describes the model that the run saved.

    Args:
        loaded: The config of the run.
        model: Its model, built from its own description.
        run: The run.

    Raises:
        CheckpointError: Another model, posterior, prior or codec is described; the first key that
            differs is named.
    """
    theirs = describe_model(model)
    ours = {table: loaded.values.get(table) for table in theirs.keys() | {*TABLES} - {"order"}}
    ours["order"] = list(loaded.values["modalities"])
    before, now = toml.flatten(theirs), toml.flatten(ours)
    for path in sorted(before.keys() | now.keys(), key=toml.dotted):
        if before.get(path) != now.get(path):
            raise CheckpointError(
                f"{run.resolved}: {toml.dotted(path)} = {toml.literal(now.get(path))}, but the "
                f"model of {run.folder} was trained with {toml.literal(before.get(path))}. "
                f"Restore that value. For another model train a new run: mmvae train CONFIG "
                f"--init-from {run.folder}"
            )


def refuse_idle_keys(experiment: Experiment, data: Data) -> None:
    """Refuse keys of ``[train]`` that have no effect without a validation split.

    Raises:
        ConfigError: One of them is set.
    """
    if "validation" in data.splits:
        return
    config = experiment.train
    for key in ("monitor", "patience"):
        value = getattr(config, key)
        if value != TrainConfig.model_fields[key].default:
            raise ConfigError(
                f"train.{key} = {toml.literal(value)} has no effect: the data have no validation "
                f"split. Leave it out, or add a validation split."
            )
