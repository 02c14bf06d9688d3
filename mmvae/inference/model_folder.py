"""The folder of a trained model: everything needed to use it, and nothing that is executed.

``config.json`` names codecs and model by the words of registered plugins, never by import paths.
Weights and fitted states of codecs are safetensors; a manifest of checksums covers every file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from mmvae.foundations import staging, storage
from mmvae.foundations.errors import CheckpointError, RunError
from mmvae.foundations.randomness import seeded_global
from mmvae.foundations.surroundings import undisturbed
from mmvae.inference.trained_model import TrainedModel
from mmvae.modalities.codec import Codec
from mmvae.modalities.column_type import Kind
from mmvae.modalities.recipe import READ_AS, State
from mmvae.models.base import Model
from mmvae.models.families import Shapes
from mmvae.plugins.guard import guarded_codec
from mmvae.plugins.loader import load_registry
from mmvae.plugins.provenance import of_a_model, require_plugins
from mmvae.plugins.registry import Registry
from mmvae.runs.checkpoint_folder import LATEST, Checkpoint, read_folder, write_folder
from mmvae.runs.checkpoint_store import CheckpointStore
from mmvae.runs.run import Run
from mmvae.runs.run_files import LOCK_OF_PLUGINS
from mmvae.runs.run_place import is_folder
from mmvae.training.model_description import Description, fitting, no_larger_than, try_out
from mmvae.training.state import (
    codec_numbers,
    codec_tensors,
    describe_model,
    load_weights,
    position_of,
)


def save_model(
    folder: Path,
    model: Model,
    weights: Mapping[str, Tensor],
    step: int,
    made_with: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder atomically, replacing an older one.

    Args:
        folder: Its path.
        model: The model.
        weights: Its weights.
        step: The step at which they were reached.
        made_with: The plugins that it was made with, recorded for loading.

    Raises:
        TrainingError: The system refused to write.
    """
    tensors = {"model": dict(weights)}
    codecs = codec_tensors(model.codecs)
    if codecs:
        tensors["codecs"] = codecs
    state = {**describe_model(model), "codecs": codec_numbers(model.codecs)}
    if made_with is not None:
        state["plugins"] = of_a_model(made_with)
    with staging.staged_folder(folder, replace=True) as staged:
        write_folder(staged, step, tensors, state)


@undisturbed()
def load_model(path: str | Path, registry: Registry | None = None) -> TrainedModel:
    """Load a run's final model, a model folder, or the newest checkpoint of an unfinished run.

    Raises:
        UsageError: It is no path.
        RunError: There is no model.
        CheckpointError: It is damaged, or from another version.
        PluginError: A plugin that it needs is missing or broken.
    """
    folder = storage.named_path(path, "path")
    registry = registry or load_registry()
    saved = saved_model(folder)
    made_with = saved.state.get("plugins")
    if made_with is None and (folder / LOCK_OF_PLUGINS).is_file():  # the run is unfinished
        made_with = of_a_model(Run.open(folder).plugins())
    require_plugins(made_with or {}, registry, folder)
    return built(saved, folder, registry)


def saved_model(folder: Path) -> Checkpoint:
    """Read and verify a saved model; see :func:`load_model`.

    A training that is still running replaces checkpoints and the final model. A read that fails
    meanwhile is repeated.
    """
    while True:
        before = stamps(folder)
        try:
            return _saved_model(folder)
        except (CheckpointError, RunError):
            if stamps(folder) == before:
                raise


def stamps(folder: Path) -> list[tuple[int, int] | None]:
    """Inode and time of change of a run's final model and of its latest checkpoint."""
    found: list[tuple[int, int] | None] = []
    for name in ("model", LATEST):
        try:
            stat = (folder / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((stat.st_ino, stat.st_mtime_ns))
    return found


def _saved_model(folder: Path) -> Checkpoint:
    if not is_folder(folder):
        raise RunError(f"There is no run folder {folder}. `mmvae train CONFIG` makes one.")
    if (folder / "MANIFEST.json").is_file():
        return read_folder(folder)
    if (folder / "model").is_symlink():
        raise CheckpointError(
            f"{folder / 'model'} is a symbolic link; name the folder that it points to."
        )
    if (folder / "model").is_dir():
        return read_folder(folder / "model")
    run = Run.open(folder)
    store = CheckpointStore(run.checkpoints)
    if store.empty and run.status().state == "running":
        raise RunError(
            f"{folder} holds no model yet: it is being trained and has saved no checkpoint so "
            f"far. Wait for the first one; train.checkpoint_minutes sets the interval."
        )
    if store.empty:
        raise RunError(
            f"{folder} holds no model yet: its training saved no checkpoint. "
            f"Resume with: mmvae resume {folder}"
        )
    return store.load(LATEST)


@undisturbed()
def built(saved: Checkpoint, origin: Path, registry: Registry) -> TrainedModel:
    """Build a model from its saved state: the best weights, or the mean, or the last ones."""
    said = Description.of(saved.state, origin)
    states = said.states(saved.tensors.get("codecs", {}), origin)
    weights = saved.tensors[kept(saved)]
    with fitting(origin), seeded_global(0):  # the initial weights are replaced anyway
        codecs = {m: build_codec(registry, said.modalities[m], states[m]) for m in said.order}
        check_states(codecs, origin)
        table = dict(said.model)
        kind = registry.find("model", table.pop("kind"))
        config = kind.Config.model_validate(table)
        with no_larger_than(weights), seeded_global(0):  # first weights are drawn, and go
            shapes = Shapes.of(said.families, partial(registry.find, "family"))
            model: Model = kind(config, codecs, shapes) if shapes.any else kind(config, codecs)
        load_weights(model, weights, str(origin))
        try_out(model.eval())
        columns = {m: codec.config.column or m for m, codec in codecs.items()}
    return TrainedModel(model, columns, origin)


def kept(saved: Checkpoint) -> str:
    """The file in a saved state that holds the weights to use.

    Raises:
        CheckpointError: There is none.
    """
    for stem in ("best", "average", "model"):
        if stem in saved.tensors:
            return stem
    raise CheckpointError(f"{saved.path} holds no weights: it has no model.safetensors.")


def weights_step(saved: Checkpoint) -> int:
    """The step at which the weights to use were reached."""
    best = kept(saved) == "best"
    return position_of(saved.state, saved.path).best_step if best else saved.step


def build_codec(registry: Registry, table: Mapping[str, Any], state: State) -> Codec:
    """A fitted codec from its table, whose ``codec`` names a registered kind."""
    values = dict(table)
    codec_class = guarded_codec(registry, values.pop("codec"))
    return codec_class(codec_class.Config.model_validate(values), state)


def check_states(codecs: Mapping[str, Codec], origin: object) -> None:
    """Have every codec check its state.

    Raises:
        CheckpointError: A codec refuses its state.
    """
    for m, codec in codecs.items():
        try:
            _check_column_type(codec)
            codec.check_state()
        except ValueError as error:
            raise CheckpointError(
                f"{origin}: the fitted state of {m!r} is not what codec {codec.kind!r} learns: "
                f"{error}. Get the model from its authors again."
            ) from error


def _check_column_type(codec: Codec) -> None:
    """Require that the type of the codec's column, if there is one, is a known one.

    Raises:
        ValueError: It is not.
    """
    kind = codec.state.get(READ_AS)
    if kind is None:
        return
    words = (
        isinstance(kind, (list, tuple))
        and bool(kind)
        and all(isinstance(word, str) for word in kind)
    )
    if not words or kind[0] not in get_args(Kind):
        raise ValueError(
            f"{READ_AS!r} is {kind!r:.80}, expected one of {', '.join(get_args(Kind))}"
        )
