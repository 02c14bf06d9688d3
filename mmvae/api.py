"""The Python API: train, resume, load. The command line calls nothing else."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, is_tensorboard_available

from mmvae import __version__, storage
from mmvae.codec import Codec, CodecConfig, State
from mmvae.config import Experiment, LoadedConfig, load_experiment
from mmvae.data.loading import Data, open_data
from mmvae.data.memory import MemorySource
from mmvae.data.order import Order
from mmvae.errors import ConfigError, Interrupted, MmvaeError, RunError, TrainingError, UsageError
from mmvae.model_folder import built, load_model, save_model
from mmvae.models.protocol import Model
from mmvae.plugins import load_registry
from mmvae.randomness import derived_seed, seed_global
from mmvae.registry import Registry
from mmvae.settings import TrainConfig
from mmvae.source import Source
from mmvae.trained import TrainedModel
from mmvae.training.checkpoint import Checkpoint, CheckpointStore
from mmvae.training.loop import Limits, Trainer
from mmvae.training.processes import everyone_follows, leading
from mmvae.training.progress import LoggedProgress, Progress, shown_terms
from mmvae.training.run import Run, default_folder, read_metrics
from mmvae.training.state import codec_states, load_weights

ORDER_KEYS = ("train.batch_size", "train.drop_last", "train.seed")
"""What the order of items and the meaning of a step depend on."""

PROCESS_TIMEOUT_S = 50
"""Seconds after which a process that waits for a lost one gives up."""


@dataclass(frozen=True)
class Result:
    """How a training ended.

    Attributes:
        outcome: ``"finished"`` or ``"stopped"`` (by a limit).
        run: The run's folder, or None if nothing was kept.
        model: The trained model: the best weights by validation, or the last ones.
        steps: Optimizer steps done in all.
    """

    outcome: str
    run: Path | None
    model: TrainedModel
    steps: int


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
    import tempfile

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


def make_accelerator(config: TrainConfig, folder: Path) -> Accelerator:
    """Accelerate, as ``[train]`` wants it: device, precision, processes, trackers.

    Args:
        config: The ``[train]`` section.
        folder: The run's folder, where trackers write; it need not exist yet.

    Raises:
        ConfigError: The precision is not to be had on the device, or a tracker's package is not
            installed.
    """
    from datetime import timedelta

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    cpu = config.device == "cpu" or not torch.accelerator.is_available()
    if config.precision == "float16" and cpu:
        raise ConfigError(
            "train.precision = 'float16' needs an accelerator; on the CPU use 'float32' or "
            "'bfloat16'."
        )
    if config.trackers and not is_tensorboard_available():
        raise ConfigError(
            "train.trackers = ['tensorboard']: TensorBoard is not installed. "
            "pip install 'mmvae[tensorboard]', or leave train.trackers out."
        )
    AcceleratorState._reset_state()  # so that a process can change the precision between runs
    return Accelerator(
        cpu=cpu,
        mixed_precision={"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[config.precision],
        log_with=list(config.trackers) or None,
        project_dir=folder,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=PROCESS_TIMEOUT_S))],
    )


def open_materials(
    experiment: Experiment,
    registry: Registry,
    data: Any,
    accelerator: Accelerator,
    states: Mapping[str, State] | None = None,
) -> Data:
    """The experiment's data with fitted codecs, on the accelerator's device."""
    source = open_source(experiment, registry, data)
    return open_data(source, recipes(experiment, registry), states, accelerator.device)


def open_source(experiment: Experiment, registry: Registry, data: Any = None) -> Source:
    """The experiment's source, not yet read; ``data`` are the items of a source in memory.

    Raises:
        UsageError: Data were given to a source that reads its own.
        DataError: They were not given to a source in memory.
    """
    config = experiment.data
    source_class = registry.source(config.source)
    memory = issubclass(source_class, MemorySource)
    if data is not None and not memory:
        raise UsageError(
            f"data= was given, but data.source = {config.source!r}: leave one of the two out."
        )
    return MemorySource(config, data) if memory else source_class(config)


def recipes(
    experiment: Experiment, registry: Registry
) -> dict[str, tuple[type[Codec], CodecConfig]]:
    """Modality → codec class and its validated config."""
    return {m: (registry.codec(c.codec), c) for m, c in experiment.modalities.items()}


def build_model(experiment: Experiment, registry: Registry, codecs: Mapping[str, Codec]) -> Model:
    """The model with its first weights: a function of the config and the seed alone."""
    kind: type[Model] = registry.model(experiment.model.kind)
    with torch.random.fork_rng(devices=[]):
        seed_global(derived_seed(experiment.train.seed, "weights"))
        return kind(experiment.model, codecs)


def run_training(
    experiment: Experiment,
    materials: Data,
    model: Model,
    run: Run | None,
    accelerator: Accelerator,
    limits: Limits,
    progress: Progress | None,
    saved: Checkpoint | None = None,
    changed: str | None = None,
) -> Result:
    """Train in a run folder that exists; keep its status up to date, whatever happens.

    Args:
        experiment: The experiment.
        materials: Its data.
        model: Its model, with its first weights.
        run: The run's folder, on the process that writes it.
        accelerator: Devices, precision, processes, trackers.
        limits: What may end the training early.
        progress: Where to show progress.
        saved: The checkpoint to go on from.
        changed: The whole config, if it is no longer the run's: kept once it is known to fit.
    """
    # Only the process that has the run shows anything.
    progress = Progress() if run is None else LoggedProgress(progress or Progress(), run.log)
    with held(run, accelerator), own_random_numbers(accelerator.device), progress:
        trainer = None
        try:
            model.to(accelerator.device)
            validation = "validation" in materials.splits
            trainer = Trainer(
                model,
                materials.batches("train"),
                materials.batches("validation") if validation else None,
                experiment.train,
                run,
                accelerator,
                progress,
                experiment.evaluate.batch_size,
            )
            if saved is not None:
                trainer.restore(saved)
            accelerator.init_trackers("tensorboard")
            if run is not None:
                if changed is not None:
                    storage.write_text(run.resolved, changed)
                if run.model.is_dir():  # until there is a new one, the latest checkpoint counts
                    storage.remove_folder(run.model)
                run.write_status("running", step=trainer.state.position.step, message="training")
            outcome = trainer.fit(limits)
            finish(trainer, model, run, outcome, accelerator)
        except BaseException as error:  # of any kind: the status must say how the run ended
            if run is not None:
                write_failure(run, error, trainer)
            raise
        finally:
            # Not end_training(): it would also end the processes' group, which belongs to the
            # caller as much as the processes do, who may train again.
            for tracker in accelerator.trackers:
                tracker.finish()
    columns = {m: c.column or m for m, c in experiment.modalities.items()}
    if trainer.state.best_weights:
        load_weights(model, trainer.state.best_weights, "the best weights")
    else:
        load_weights(model, trainer.state.weights(), "the last weights")
    folder = None if run is None else run.folder
    return Result(
        outcome, folder, TrainedModel(model, columns, folder), trainer.state.position.step
    )


def finish(
    trainer: Trainer, model: Model, run: Run | None, outcome: str, accelerator: Accelerator
) -> None:
    """Write the final model and the status."""
    with everyone_follows(accelerator):
        if run is not None:
            position = trainer.state.position
            best = trainer.state.best_weights
            reached = position.best_step if best else position.step
            save_model(run.model, model, best or trainer.state.weights(), reached)
            state: Any = outcome
            run.write_status(state, step=position.step, epoch=trainer.epoch, exit_code=0)


def write_failure(run: Run, error: BaseException, trainer: Trainer | None) -> None:
    """Say in ``status.json`` how a run ended that did not finish."""
    step, epoch = (0, 0) if trainer is None else (trainer.state.position.step, trainer.epoch)
    code = error.exit_code if isinstance(error, MmvaeError) else 1
    state: Any = "failed"
    if isinstance(error, Interrupted):
        state = "preempted" if code == 75 else "stopped"
    elif isinstance(error, KeyboardInterrupt):
        state, code = "stopped", 130
    message = str(error) or type(error).__name__
    with suppress(TrainingError):  # the error itself says more than that this cannot be written
        run.write_status(state, step=step, epoch=epoch, exit_code=code, message=message)


@contextmanager
def held(run: Run | None, accelerator: Accelerator) -> Iterator[None]:
    """Hold the run's lock on the process that has the run; where it is in use, all stop."""
    with ExitStack() as stack:
        with everyone_follows(accelerator):
            if run is not None:
                stack.enter_context(run.locked())
        yield


def own_random_numbers(device: torch.device) -> AbstractContextManager[None]:
    """Leave the caller's global random state as it was when the block ends."""
    if device.type == "cpu":
        return torch.random.fork_rng(devices=[])
    return torch.random.fork_rng(devices=[device], device_type=device.type)


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


def environment(materials: Data) -> dict[str, Any]:
    """Versions, machine and data of a run, for ``env.json``."""
    packages = ("torch", "accelerate", "datasets", "pydantic", "safetensors", "numpy")
    return {
        "mmvae": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": str(materials.device),
        "data": {
            "fingerprint": materials.source.fingerprint(),
            "items": {name: len(split) for name, split in materials.splits.items()},
        },
    }


def plugins_used(experiment: Experiment, registry: Registry) -> dict[str, Any]:
    """The plugins that an experiment uses, with distribution and version."""
    wanted: list[tuple[Any, str]] = [
        ("source", experiment.data.source),
        ("model", experiment.model.kind),
        *(("codec", c.codec) for c in experiment.modalities.values()),
    ]
    used = {(role, kind): registry.provider(role, kind) for role, kind in wanted}
    return {
        f"{role} {kind}": {"distribution": p.distribution, "version": p.version, "plugin": p.name}
        for (role, kind), p in used.items()
    }
