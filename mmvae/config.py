"""The configuration of an experiment: its schema, and how it is read.

pydantic is the only schema: the reference in the documentation, the JSON Schema for editors,
validation and the resolved configuration of a run all come from the classes here and from the
``Config`` classes of the installed plugins.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

from mmvae import toml
from mmvae.errors import ConfigError
from mmvae.mistakes import CHOICES, explain
from mmvae.plugins import Registry, Role, load_registry
from mmvae.source import SplitName

Rate = Annotated[float, Field(ge=0, lt=1)]
ModalityName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Section(BaseModel):
    """A table of the configuration: its keys are known, checked and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TrainConfig(Section):
    """``[train]``: how the model is fitted."""

    epochs: int = Field(100, ge=1, description="Passes over the training split.")
    batch_size: int = Field(
        100, ge=1, description="Items per step, over all processes and accumulation steps."
    )
    accumulation: int = Field(
        1, ge=1, description="Parts in which a process computes the gradient of its batch."
    )
    seed: int = Field(
        0, ge=0, lt=2**63, description="Governs weights, order of items and every draw."
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="Optimizer.")
    learning_rate: float = Field(1e-3, gt=0, description="Step size of the optimizer.")
    betas: tuple[Rate, Rate] = Field(
        (0.9, 0.999), description="Decay of Adam's two moments; adam and adamw only."
    )
    eps: float = Field(1e-8, gt=0, description="Added to Adam's denominator; adam and adamw only.")
    momentum: Rate = Field(0.0, description="Momentum; sgd only.")
    weight_decay: float = Field(
        0.0, ge=0, description="Weight decay: decoupled with adamw, an L2 term otherwise."
    )
    clip_norm: float | None = Field(
        None, gt=0, description="Clip the gradient to this total norm; done before clip_value."
    )
    clip_value: float | None = Field(
        None, gt=0, description="Clip each element of the gradient to ± this."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "constant", description="How the learning rate goes to final_learning_rate."
    )
    schedule_warmup_steps: int = Field(
        0, ge=0, description="Steps over which the learning rate first rises linearly from 0."
    )
    final_learning_rate: float = Field(
        0.0, ge=0, description="Learning rate at the last step; linear and cosine only."
    )
    warmup_epochs: int = Field(
        0,
        ge=0,
        description="Epochs over which the regularisation weight β rises linearly from 0 to 1.",
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay of the running mean of the weights that is kept beside them.",
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="Precision of the networks; likelihoods and KL are float32."
    )
    compile: bool = Field(False, description="Compile the networks with torch.compile.")
    threads: int | None = Field(
        None, ge=1, description="CPU threads per process; as torch finds them unless given."
    )
    drop_last: bool = Field(
        False, description="Leave out the last batch of an epoch if it is not full."
    )
    validate_every: int = Field(1, ge=1, description="Epochs from one validation to the next.")
    monitor: Literal["objective", "elbo"] = Field(
        "objective", description="Validation figure by which the best checkpoint is chosen."
    )
    patience: int | None = Field(
        None, ge=1, description="Stop after so many validations without a new best."
    )
    checkpoint_every: int | None = Field(
        None, ge=1, description="Steps between checkpoints; at each epoch's end unless given."
    )
    checkpoint_minutes: float = Field(
        10.0, gt=0, description="Save a checkpoint at the latest after so many minutes."
    )
    keep_checkpoints: int = Field(
        2, ge=1, description="Latest checkpoints to keep; the best one is kept besides."
    )
    log_every: int = Field(50, ge=1, description="Steps between lines of metrics.jsonl.")
    trackers: list[Literal["tensorboard"]] = Field(
        [], description="Where metrics go besides metrics.jsonl."
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        """Refuse keys that would have no effect."""
        if self.accumulation > self.batch_size:
            raise ValueError(
                f"accumulation = {self.accumulation} parts of a batch of {self.batch_size} "
                f"leave some empty; expected accumulation <= batch_size."
            )
        adam = self.optimizer != "sgd"
        idle = {
            "momentum": adam,
            "betas": not adam,
            "eps": not adam,
            "final_learning_rate": self.schedule == "constant",
        }
        for key, unused in idle.items():
            if unused and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(
                    f"{key} = {toml.literal(getattr(self, key))} has no effect with optimizer = "
                    f"{self.optimizer!r} and schedule = {self.schedule!r}; leave it out."
                )
        return self


class EvaluateConfig(Section):
    """``[evaluate]``: which figures are computed, and how."""

    split: SplitName = Field("test", description="Items to evaluate on.")
    batch_size: int = Field(500, ge=1, description="Items evaluated at once.")
    samples: int = Field(
        1, ge=1, description="k, samples per item of a bound: 1 the ELBO, more a tighter one."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Governs every draw of an evaluation.")
    coherence: bool = Field(
        True, description="Judge generated values by a classifier where a modality has classes."
    )
    coherence_samples: int = Field(1000, ge=1, description="Generated items to judge.")


class Experiment(Section):
    """One TOML file: everything a run needs to know.

    ``data``, ``modalities`` and ``model`` are instances of the ``Config`` classes that plugins
    bring; each carries the word that chose it: ``data.source``, ``modalities[name].codec``,
    ``model.kind``.
    """

    name: str = Field(
        "experiment",
        min_length=1,
        description="Name of the experiment; the file's name without its ending unless given.",
    )
    data: Any = Field(description="Where items come from; 'source' chooses the keys.")
    modalities: dict[ModalityName, Any] = Field(
        min_length=1,
        description="The observed variables x_m, in this order; 'codec' chooses the keys of each.",
    )
    model: Any = Field(
        default_factory=dict, validate_default=True, description="The model; 'kind' chooses."
    )
    train: TrainConfig = Field(TrainConfig(), description="How the model is fitted.")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="What is measured, and how.")

    @field_validator("name")
    @classmethod
    def _no_path(cls, name: str) -> str:
        if not set(name).isdisjoint("/\\\0") or name in (".", ".."):
            raise ValueError("expected a name, not a path; leave out / and \\.")
        return name


@dataclass(frozen=True)
class LoadedConfig:
    """An experiment and where its values come from.

    Attributes:
        experiment: The validated experiment.
        text: The file as written.
        overrides: The ``key=value`` texts that were applied, in order.
        origins: Dotted key of each value → ``default``, ``file:line`` or ``-s key=value``.
        source: What to call it in messages: the file's path, ``<stdin>`` or ``config``.
    """

    experiment: Experiment
    text: str
    overrides: tuple[str, ...]
    origins: Mapping[str, str]
    source: str

    @cached_property
    def values(self) -> dict[str, Any]:
        """Every key with its value as plain Python, None for a key that is unset."""
        return resolved(self.experiment)

    def resolved_toml(self) -> str:
        """The whole experiment as TOML, defaults included; it loads to an equal experiment."""
        return toml.dumps(self.values)

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that change with any value but the name."""
        values = {key: value for key, value in self.values.items() if key != "name"}
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def load_experiment(
    source: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> LoadedConfig:
    """Read and validate an experiment.

    Args:
        source: Path of a TOML file, ``-`` for standard input, or a mapping.
        overrides: Texts ``key=value`` that replace or add values, in order.
        registry: The plugins to choose from; the installed ones unless given.

    Raises:
        ConfigError: The file cannot be read or has mistakes; the message tells all of them.
        PluginError: A plugin that it needs is broken.
    """
    document = toml.read(source)
    for override in overrides:
        document.override(override)
    registry = load_registry() if registry is None else registry
    schema = experiment_schema(registry)
    table = document.table
    if not isinstance(source, Mapping) and document.source != "<stdin>":
        table = {"name": Path(source).stem} | table
    modalities = table.get("modalities")
    context = {"modalities": list(modalities) if isinstance(modalities, Mapping) else []}
    try:
        # As JSON, because strict JSON still takes a list for a tuple and a text for a path.
        experiment = schema.model_validate_json(json.dumps(table), strict=True, context=context)
    except ValidationError as error:
        raise explain(error, document, schema, registry) from None
    except ConfigError as error:  # from a plugin's validator
        raise ConfigError(f"{document.source}: {error}") from None
    origins = {
        toml.dotted(path): _origin(document, path) for path in toml.flatten(resolved(experiment))
    }
    return LoadedConfig(experiment, document.text, tuple(overrides), origins, document.source)


def resolved(experiment: Experiment) -> dict[str, Any]:
    """An experiment as plain values in the order of its schema, the choosing words first."""
    values = experiment.model_dump(mode="json")
    values["data"] = {"source": values["data"]["source"], **values["data"]}
    values["model"] = {"kind": values["model"]["kind"], **values["model"]}
    values["modalities"] = {
        name: {"codec": table["codec"], **table} for name, table in values["modalities"].items()
    }
    return values


def json_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema (2020-12) of an experiment with these plugins, for editors."""
    schema = experiment_schema(registry).model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def experiment_schema(registry: Registry) -> type[Experiment]:
    """:class:`Experiment` with the tables that these plugins define."""
    roles: tuple[Role, ...] = ("source", "codec", "model")
    return _experiment_schema(*(tuple(registry.kinds(role).items()) for role in roles))


Kinds = tuple[tuple[str, type[Any]], ...]


@lru_cache(maxsize=32)
def _experiment_schema(sources: Kinds, codecs: Kinds, models: Kinds) -> type[Experiment]:
    # Cached, so that experiments loaded twice with the same plugins are of one class and equal.
    fields = Experiment.model_fields
    codec = Annotated[Any, _Choice("modalities", codecs)]
    tables: dict[str, Any] = {
        "data": (Annotated[Any, _Choice("data", sources)], fields["data"]),
        "modalities": (dict[ModalityName, codec], fields["modalities"]),
        "model": (Annotated[Any, _Choice("model", models)], fields["model"]),
    }
    return create_model("Experiment", __base__=Experiment, __doc__=Experiment.__doc__, **tables)


class _Choice:
    """Annotation of a table whose keys depend on one of them, by the classes of a registry."""

    def __init__(self, table: str, kinds: Kinds) -> None:
        role, self.key, _ = CHOICES[table]
        self.default = "jmvae" if role == "model" else None
        self.schemas = {
            kind: _chosen(offered.Config, role, self.key, kind, kind == self.default)
            for kind, offered in kinds
        }

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema]
        choices = {kind: handler.generate_schema(s) for kind, s in self.schemas.items()}
        if not choices:  # no plugin is installed, but a union needs a choice
            choices = {"": core_schema.model_fields_schema({})}
        return core_schema.tagged_union_schema(choices, self._kind_of)

    def _kind_of(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return value.get(self.key, self.default) or None
        return getattr(value, self.key, None)


@lru_cache(maxsize=256)
def _chosen(
    config: type[BaseModel], role: str, key: str, kind: str, default: bool
) -> type[BaseModel]:
    """The plugin's schema with the key that chose it, closed to unknown keys."""
    title = "".join(word.capitalize() for word in kind.replace("_", "-").split("-"))
    field = Field(kind if default else ..., description=f"Chooses the {role} {kind!r}.")
    chooser: dict[str, Any] = {key: (Literal[kind], field)}
    closed = {"extra": "forbid", "frozen": True}
    return create_model(
        title + role.capitalize(),
        __base__=config,
        __doc__=config.__doc__,
        __cls_kwargs__=closed,
        **chooser,
    )


def _origin(document: toml.Document, path: toml.KeyPath) -> str:
    try:
        document.value(path)
    except KeyError:
        return "default"
    return document.place(path)
