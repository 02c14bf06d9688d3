"""The Python API: train, resume, load, try out. The command line calls nothing else to train."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmvae.assembly import (
    build_model,
    environment,
    make_accelerator,
    open_materials,
    plugins_used,
)
from mmvae.config import LoadedConfig, load_experiment
from mmvae.data.order import Order
from mmvae.errors import ConfigError, RunError
from mmvae.model_folder import built, load_model
from mmvae.models.protocol import Model
from mmvae.plugins import load_registry
from mmvae.registry import Registry
from mmvae.session import Result, held, run_training
from mmvae.trained import TrainedModel
from mmvae.training.checkpoint import CheckpointStore
from mmvae.training.loop import Limits
from mmvae.training.processes import everyone_follows, leading
from mmvae.training.progress import Progress, shown_terms
from mmvae.training.run import Run, default_folder, read_metrics
from mmvae.training.state import codec_states, load_weights

ORDER_KEYS = ("train.batch_size", "train.drop_last", "train.seed")
"""What the order of items and the meaning of a step depend on."""


def load(path: str | Path) -> TrainedModel:
    """Load a trained model from a run, from a model folder, or from an unfinished run.

    Raises:
        RunError: There is no model.
        CheckpointError: It is damaged.
        PluginError: A plugin that it needs is missing or broken.
    """
    return load_model(path)


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
        config: A TOML file, or the same tables as a mapping.
        data: Items in memory in place of ``[data]``: a dict of arrays, a ``datasets.Dataset``, a
            DataFrame, or a dict of those by split.
        overrides: ``"key=value"`` texts, as ``-s`` takes them.
        run_dir: The run's folder; ``runs/NAME/…`` unless given.
        max_steps: Stop after so many steps in all.
        max_seconds: Stop after so much training time.
        init_from: A run or model folder whose weights to begin with.
        progress: Where to show progress; nowhere unless given.
        registry: The plugins to choose from; the installed ones unless given.

    Raises:
        MmvaeError: Anything that went wrong; its class says what, its ``exit_code`` the code of
            the command.
    """
    registry = registry or load_registry()
    loaded = with_data(config, data, overrides, registry)
    experiment = loaded.experiment
    folder = Path(run_dir) if run_dir is not None else default_folder(experiment.name)
    accelerator = make_accelerator(experiment.train, folder)
    materials = open_materials(experiment, registry, data, accelerator)
    for split in materials.splits:
        if split != "test":
            materials.batches(split)  # values that are refused must not leave a run behind
    model = build_model(experiment, registry, materials.codecs)
    env = environment(materials)
    if init_from is not None:
        begin_with(model, init_from, registry)
        env["init_from"] = str(Path(init_from).resolve())
    run = None
    with everyone_follows(accelerator):
        if leading(accelerator):
            run = Run.create(
                folder,
                loaded.text,
                loaded.resolved_toml(),
                env,
                plugins_used(experiment, registry),
            )
    limits = Limits(max_steps, max_seconds)
    return run_training(experiment, materials, model, run, accelerator, limits, progress)


def resume(
    run: str | Path,
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    checkpoint: str = "latest",
    max_steps: int | None = None,
    max_seconds: float | None = None,
    progress: Progress | None = None,
    registry: Registry | None = None,
) -> Result:
    """Go on with a run where it stopped, whatever stopped it.

    Args:
        run: Its folder.
        data: The items again, if the run was trained on data in memory.
        overrides: ``train`` keys to change, such as ``"train.epochs=200"`` for a longer run.
        checkpoint: Which checkpoint to go on from: ``"latest"``, or a folder's name.
        max_steps: Stop after so many steps in all.
        max_seconds: Stop after so much training time.
        progress: Where to show progress.
        registry: The plugins to choose from; the installed ones unless given.

    Raises:
        MmvaeError: As :func:`train`.
    """
    registry = registry or load_registry()
    folder = Run.open(Path(run))
    refuse_other_than_train(overrides)
    loaded = load_experiment(folder.resolved, overrides, registry)
    experiment = loaded.experiment
    accelerator = make_accelerator(experiment.train, folder.folder)
    own = folder if leading(accelerator) else None
    limits = Limits(max_steps, max_seconds)
    with held(own, accelerator):
        store = CheckpointStore(folder.checkpoints, experiment.train.keep_checkpoints)
        saved = None if store.empty else store.load(checkpoint)
        states = None
        if saved is not None:
            states = codec_states(saved.state["codecs"], saved.tensors.get("codecs", {}))
        materials = open_materials(experiment, registry, data, accelerator, states)
        model = build_model(experiment, registry, materials.codecs)
        if saved is None and (origin := recorded(folder).get("init_from")):
            begin_with(model, origin, registry)
        changed = loaded.resolved_toml() if overrides else None
        return run_training(
            experiment, materials, model, own, accelerator, limits, progress, saved, changed
        )


def dry_run(
    config: str | Path | Mapping[str, Any],
    data: Any = None,
    *,
    overrides: Sequence[str] = (),
    init_from: str | Path | None = None,
    registry: Registry | None = None,
) -> dict[str, Any]:
    """Try a config without training: load, build, one step, one checkpoint there and back.

    Nothing is left on disk. It tries one process; a run of several does the same work in parts.

    Returns:
        What was built: items per split, event shapes, latent dimensions, parameters, the steps
        that the whole training would take, and the first step's terms in nats per item.
    """
    registry = registry or load_registry()
    loaded = with_data(config, data, (*overrides, "train.log_every=1"), registry)
    with tempfile.TemporaryDirectory(prefix="mmvae-dry-run-") as temporary:
        run = Run(Path(temporary) / "run")
        result = train(
            loaded, data, run_dir=run.folder, max_steps=1, init_from=init_from, registry=registry
        )
        built(CheckpointStore(run.checkpoints).load("latest"), run.folder, registry)
        load_model(run.folder, registry)
        items = json.loads((run.folder / "env.json").read_bytes())["data"]["items"]
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
    """The loaded config, its source set to memory where data are given."""
    if isinstance(config, LoadedConfig):
        return config
    if data is not None and isinstance(config, Mapping):
        config = {"data": {"source": "memory"}} | dict(config)
    return load_experiment(config, overrides, registry)


def recorded(run: Run) -> dict[str, Any]:
    """What ``env.json`` says of a run: :func:`environment`, and ``init_from`` where given.

    Raises:
        RunError: It cannot be read.
    """
    path = run.folder / "env.json"
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read: {error}. Restore it, or train anew.") from error


def begin_with(model: Model, origin: str | Path, registry: Registry) -> None:
    """Give a new model the weights of a trained one.

    Raises:
        RunError: There is no model in ``origin``.
        CheckpointError: It is damaged, or another model's.
    """
    load_weights(model, load_model(origin, registry).model.state_dict(), str(origin))


def refuse_other_than_train(overrides: Sequence[str]) -> None:
    """A run goes on with its own data, order of items and model; other ``train`` keys may change.

    Raises:
        ConfigError: An override names another key.
    """
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in ORDER_KEYS:
            raise ConfigError(
                f"-s {override}: a run goes on with its own order of items, and {key} would "
                f"change it. Leave it out; for less memory use -s train.accumulation=…, for "
                f"another experiment: mmvae train CONFIG --init-from RUN"
            )
        if not override.startswith("train."):
            raise ConfigError(
                f"-s {override}: a run goes on with its own data and model; only train.… may "
                f"change. For another experiment use: mmvae train CONFIG --init-from RUN"
            )
