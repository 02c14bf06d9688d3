"""The Python API: train, resume, load, dry run. The command line trains only through it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvae.data.sampler import Order
from mmvae.experiments.config import LoadedConfig, load_experiment
from mmvae.experiments.session import Result, Session
from mmvae.foundations import storage
from mmvae.foundations.errors import UsageError
from mmvae.foundations.progress import Progress
from mmvae.foundations.surroundings import exclusive
from mmvae.inference.model_folder import built, load_model
from mmvae.inference.trained_model import TrainedModel
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.plugins.smoke_test import blaming
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.metrics_log import read_metrics
from mmvae.runs.run import Run
from mmvae.runs.run_place import default_folder
from mmvae.training.progress import shown_terms
from mmvae.training.stop_conditions import Limits


def load(path: str | Path) -> TrainedModel:
    """Load a trained model from a run, from a model folder, or from an unfinished run.

    Raises:
        RunError: There is no model.
        CheckpointError: It is damaged.
        PluginError: A plugin that it needs is missing or broken.
    """
    return load_model(path)


@exclusive()
def train(
    config: str | Path | Mapping[str, Any] | LoadedConfig,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    run_dir: str | Path | None = None,
    max_steps: int | None = None,
    max_seconds: float | None = None,
    init_from: str | Path | None = None,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Result:
    """Train a model.

    Args:
        config: A TOML file, the same tables as a mapping, or the result of
            :func:`mmvae.experiments.config.load_experiment` for either.
        data: Items in memory in place of ``[data]``: a dict of arrays, a ``datasets.Dataset`` or
            ``IterableDataset``, a DataFrame, or a dict of those by split.
        overrides: ``"key=value"`` texts, as for ``-s``; not with a config that is loaded already.
        run_dir: The run's folder; default: ``runs/NAME/…``.
        max_steps: Stop after this total number of steps.
        max_seconds: Stop after this training time.
        init_from: A run or model folder with the initial weights.
        progress: Shows progress; default: nowhere.
        registry: The plugins to choose from; default: the installed ones.

    Raises:
        MmvaeError: Any failure; its class says which, its ``exit_code`` is the exit code of the
            command.
    """
    registry = registry or load_registry()
    loaded = with_data(config, data, overrides, registry)
    if run_dir is None:
        folder = default_folder(loaded.experiment.name)
    else:
        folder = storage.named_path(run_dir, "run_dir")
    with Session.new(loaded, data, registry, folder, init_from) as session:
        return session.fit(Limits(max_steps, max_seconds), progress)


@exclusive()
def resume(
    run: str | Path,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    checkpoint: str = "latest",
    other_data: bool = False,
    max_steps: int | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Result:
    """Resume a run that was stopped or interrupted.

    Args:
        run: Its folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``train`` keys to change, such as ``"train.epochs=200"`` for a longer run.
        checkpoint: The checkpoint to resume from: ``"latest"``, or a folder's name.
        other_data: True to resume although the data differ from those that the run was trained on;
            from then on they are the run's.
        max_steps: Stop after this total number of steps.
        max_seconds: Stop after this training time.
        progress: Shows progress.
        registry: The plugins to choose from; default: the installed ones.

    Raises:
        MmvaeError: As :func:`train`.
    """
    registry = registry or load_registry()
    folder = Run.open(storage.named_path(run, "run"))
    with Session.reopen(folder, data, registry, overrides, checkpoint, other_data) as session:
        return session.fit(Limits(max_steps, max_seconds), progress)


@exclusive()
def dry_run(
    config: str | Path | Mapping[str, Any],
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    init_from: str | Path | None = None,
    registry: Registry | None = None,
) -> dict[str, Any]:
    """Test a config without training: load, build, one step, one checkpoint saved and restored.

    Nothing is left on disk. It tests one process; a run of several does the same work in parts.

    Returns:
        What was built: items per split, event shapes, latent dimensions, parameters, the number of
        steps of the whole training, and the first step's terms in nats per item.
    """
    registry = registry or load_registry()
    loaded = with_data(config, data, (*overrides, "train.log_every=1"), registry)
    with (
        tempfile.TemporaryDirectory(prefix="mmvae-dry-run-") as temporary,
        blaming(registry),
    ):
        run = Run(Path(temporary) / "run")
        result = train(
            loaded, data, run_dir=run.folder, max_steps=1, init_from=init_from, registry=registry
        )
        built(CheckpointStore(run.checkpoints).load("latest"), run.folder, registry)
        load_model(run.folder, registry)
        items = run.environment()["data"]["items"]
        terms = read_metrics(run.metrics)[0]
    model, config_ = result.model.model, loaded.experiment.train
    order = Order(items["train"], config_.batch_size, config_.seed, config_.drop_last)
    return {
        "name": loaded.experiment.name,
        "items": items,
        "modalities": {m: list(c.event_shape) for m, c in model.codecs.items()},
        "latent_dim": model.latent_dim,
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": config_.epochs * order.steps_per_epoch,
        "terms": {name: terms[name] for name in shown_terms(terms)},
    }


def with_data(
    config: str | Path | Mapping[str, Any] | LoadedConfig,
    data: Any,
    overrides: Sequence[str],
    registry: Registry,
) -> LoadedConfig:
    """The loaded config, with the source in memory if data are given.

    Raises:
        ConfigError: It has mistakes.
        UsageError: Overrides were given to a config that is loaded already.
    """
    if isinstance(config, LoadedConfig):
        if overrides:
            raise UsageError(
                f"overrides = {list(overrides)} with a config that is loaded already: give them "
                f"to load_experiment."
            )
        return config
    named = any(override.strip().startswith("data") for override in overrides)
    if data is None and isinstance(config, Mapping) and "data" not in config and not named:
        raise UsageError(
            "The config has no data section and no items were passed: name a source, such as "
            "data = {source = 'digits'}, or pass items in memory as data=."
        )
    if data is not None and isinstance(config, Mapping):
        config = {"data": {"source": "memory"}} | dict(config)
    return load_experiment(config, overrides, registry)
