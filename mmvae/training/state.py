"""The state of a training: everything that a checkpoint must hold to resume exactly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor
from torch.optim import Optimizer

from mmvae.foundations.errors import CheckpointError, ConfigError, MmvaeError
from mmvae.foundations.json_document import problem_of
from mmvae.modalities.codec import Codec
from mmvae.modalities.recipe import State
from mmvae.models.base import Model
from mmvae.models.trainable import Trainable
from mmvae.runs.checkpoint_folder import Checkpoint
from mmvae.training.ema import WeightAverage
from mmvae.training.optimizer import optimizer_tensors, restore_optimizer
from mmvae.training.term_means import TermMeans

Tensors = dict[str, dict[str, Tensor]]

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


@dataclass
class Position:
    """The numbers of a training's state.

    Attributes:
        step: Optimizer steps done.
        best: Best value of the monitored validation term so far, or None.
        best_step: The step at which it was reached.
        waiting: Validations since then, without those while β or the learning rate rose.
        metrics_offset: Bytes of ``metrics.jsonl`` that belong to the steps done.
        metrics_sha256: Their SHA-256; None in checkpoints of versions that did not record it.
    """

    step: Count = 0
    best: float | None = None
    best_step: Count = 0
    waiting: Count = 0
    metrics_offset: Count = 0
    metrics_sha256: str | None = None


_POSITION = TypeAdapter(Position)


def position_of(state: Mapping[str, Any], origin: object) -> Position:
    """Read a training's position from the state of its checkpoint.

    Raises:
        CheckpointError: The position is missing or impossible.
    """
    try:
        return _POSITION.validate_python(state["position"])
    except KeyError:
        said = "position: Field required"
    except ValidationError as error:
        said = problem_of(error)
    raise CheckpointError(
        f"{origin}: its position in the training is not what mmvae writes: {said}."
    )


def refuse_other_step(position: Position, checkpoint: Checkpoint) -> None:
    """Refuse a position that contradicts its checkpoint's manifest, and so its folder's name.

    Raises:
        CheckpointError: It is of another step, or its best step lies after it.
    """
    if position.step != checkpoint.step:
        raise CheckpointError(
            f"{checkpoint.path}: position.step is {position.step}, but its manifest says step "
            f"{checkpoint.step}: mmvae did not write it so. Resume --from another checkpoint."
        )
    if position.best_step > position.step:
        raise CheckpointError(
            f"{checkpoint.path}: position.best_step is {position.best_step}, expected at most its "
            f"step {position.step}: mmvae did not write it so. Resume --from another checkpoint."
        )


class TrainingState:
    """Model, optimizers, averages and position of one training.

    Random numbers need no state: every draw is a function of (seed, purpose, step).

    Args:
        trained: The model, with the extensions around it.
        optimizers: Phase → optimizer.
        average: Exponential moving average of the model, or None.
    """

    def __init__(
        self,
        trained: Trainable,
        optimizers: Mapping[str, Optimizer],
        average: WeightAverage | None,
    ) -> None:
        self.trained, self.model = trained, trained.bare
        self.optimizers, self.average = optimizers, average
        self.position = Position()
        self.best_weights: dict[str, Tensor] = {}
        self.terms = TermMeans()

    def weights(self) -> dict[str, Tensor]:
        """The weights for validation, evaluation and the final model: averaged if configured."""
        source = self.model if self.average is None else self.average.model
        return dict(source.state_dict())

    def keep_best(self) -> None:
        """Keep the present weights as the best by validation."""
        self.best_weights = {name: value.clone() for name, value in self.weights().items()}

    def tensors(self) -> Tensors:
        """All tensors, by file and name, without the terms' rows: processes sum these first."""
        files: Tensors = {"model": dict(self.model.state_dict())}
        if own := extension_weights(self.trained):
            files["extensions"] = own
        for phase, optimizer in self.optimizers.items():
            files[f"optimizer-{phase}"] = optimizer_tensors(optimizer)
        if self.average is not None:
            files["average"] = dict(self.average.model.state_dict())
        if self.best_weights:
            files["best"] = self.best_weights
        codecs = codec_tensors(self.model.codecs)
        return files | ({"codecs": codecs} if codecs else {})

    def numbers(self) -> dict[str, Any]:
        """Everything that is not a tensor, as JSON."""
        return {
            "position": asdict(self.position),
            "terms": {"names": list(self.terms.names.items()), "steps": self.terms.steps},
            "codecs": codec_numbers(self.model.codecs),
            **describe_model(self.model),
        }

    def restore(self, checkpoint: Checkpoint, begun: Collection[str] = ()) -> None:
        """Restore a checkpoint.

        Args:
            checkpoint: The checkpoint.
            begun: The phases that had a step by then, whose optimizers must have their state.

        Raises:
            CheckpointError: It belongs to another model or another configuration.
        """
        try:
            self._restore(checkpoint, begun)
        except MmvaeError:
            raise
        except Exception as error:  # of any kind: its checksums are right but its content is not
            raise CheckpointError(
                f"{checkpoint.path} does not fit this run ({type(error).__name__}: {error}). "
                f"Train a new run."
            ) from error

    def _restore(self, checkpoint: Checkpoint, begun: Collection[str]) -> None:
        files = checkpoint.tensors
        inside = {model_prefix(self.trained) + k: v for k, v in files["model"].items()}
        weights = inside | files.get("extensions", {})
        load_weights(self.trained, weights, str(checkpoint.path))
        for phase, optimizer in self.optimizers.items():
            whole = phase in begun and not self.trained.skips_weights
            restore_optimizer(optimizer, files.get(f"optimizer-{phase}", {}), whole)
        if self.average is not None:
            if "average" not in files:
                raise ConfigError(
                    f"train.ema = {self.average.decay}: this run began without a running mean of "
                    f"its weights, so it has none. Train a new run with --init-from."
                )
            load_weights(self.average.model, files["average"], str(checkpoint.path))
        device = next(self.model.parameters()).device
        self.best_weights = {k: v.to(device) for k, v in files.get("best", {}).items()}
        self.position = position_of(checkpoint.state, checkpoint.path)
        refuse_other_step(self.position, checkpoint)
        self.terms = TermMeans()
        if "terms" in files:
            terms = checkpoint.state["terms"]
            self.terms.restore(
                dict(terms["names"]), terms["steps"], files["terms"]["rows"].to(device)
            )


def model_prefix(trained: Trainable) -> str:
    """Prefix of the names of the model's weights within the extensions around it."""
    name = next(name for name, module in trained.named_modules() if module is trained.bare)
    return f"{name}." if name else ""


def extension_weights(trained: Trainable) -> dict[str, Tensor]:
    """The extensions' own weights; none if there is only a model."""
    inside = model_prefix(trained)
    weights = trained.state_dict()
    return {name: value for name, value in weights.items() if not name.startswith(inside)}


def load_weights(
    module: torch.nn.Module,
    weights: Mapping[str, Tensor],
    origin: str,
    new: Sequence[str] = (),
) -> None:
    """Load weights whose names, shapes and types must all match.

    Args:
        module: The module that receives them.
        weights: The weights.
        origin: Their source, for messages.
        new: Name prefixes of weights that stay as they are.

    Raises:
        CheckpointError: They belong to another model; the first difference is named.
    """
    own = module.state_dict()
    if new:
        fresh = {name: value for name, value in own.items() if name.startswith(tuple(new))}
        weights = {n: v for n, v in weights.items() if not n.startswith(tuple(new))} | fresh
    refuse_other_weights(own, weights, origin)
    module.load_state_dict(dict(weights))


def refuse_other_weights(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], origin: str
) -> None:
    """Refuse weights that differ from a model's in name, shape or type.

    Args:
        own: The model's, perhaps without memory.
        weights: The weights to be loaded.
        origin: Their source, for messages.

    Raises:
        CheckpointError: They belong to another model; the first difference is named.
    """
    for name in sorted(own.keys() ^ weights.keys()):
        what = "is missing" if name in own else "is not part of this model"
        raise CheckpointError(f"{origin}: weight {name!r} {what}: another model's checkpoint.")
    for name, value in weights.items():
        if value.shape != own[name].shape:
            raise CheckpointError(
                f"{origin}: weight {name!r} has shape {tuple(value.shape)}, this model expects "
                f"{tuple(own[name].shape)}: another configuration's checkpoint."
            )
        if value.dtype != own[name].dtype:
            raise CheckpointError(
                f"{origin}: weight {name!r} holds {value.dtype}, this model expects "
                f"{own[name].dtype}: mmvae did not write it so."
            )


def describe_model(model: Model) -> dict[str, Any]:
    """Describe model and modalities as plain values, by the words of their plugins, to rebuild."""
    return {
        "model": {**model.config.model_dump(mode="json"), "kind": model.kind},
        "order": list(model.modalities),  # JSON is written with sorted keys
        "modalities": {
            m: {**codec.config.model_dump(mode="json"), "codec": codec.kind}
            for m, codec in model.codecs.items()
        },
        **model.shapes.tables(),
    }


def codec_numbers(codecs: Mapping[str, Codec]) -> dict[str, dict[str, Any]]:
    """The fitted state of codecs, without tensors."""
    return {
        modality: {k: v for k, v in codec.state.items() if not isinstance(v, Tensor)}
        for modality, codec in codecs.items()
    }


def codec_tensors(codecs: Mapping[str, Codec]) -> dict[str, Tensor]:
    """The tensors of the fitted state of codecs, named ``modality/name``."""
    return {
        f"{modality}/{k}": v
        for modality, codec in codecs.items()
        for k, v in codec.state.items()
        if isinstance(v, Tensor)
    }


def codec_states(
    numbers: Mapping[str, Mapping[str, Any]], tensors: Mapping[str, Tensor]
) -> dict[str, State]:
    """Invert :func:`codec_numbers` and :func:`codec_tensors`."""
    states: dict[str, dict[str, Any]] = {m: dict(values) for m, values in numbers.items()}
    for name, value in tensors.items():
        modality, key = name.split("/", 1)
        states.setdefault(modality, {})[key] = value
    return dict(states)
