"""The configuration of an experiment: its schema, and how it is read.

pydantic is the only schema: the reference in the documentation, the JSON Schema for editors,
validation and the resolved configuration of a run all come from the classes here and from the
``Config`` classes of the installed plugins.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    create_model,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.query import check_cells
from mmvae.experiments.config_errors import explain, table_schema
from mmvae.experiments.reference import ReferenceConfig
from mmvae.foundations import toml
from mmvae.foundations.errors import ConfigError, UsageError, listed, nearest
from mmvae.foundations.printable import is_plain
from mmvae.foundations.section import LONGEST_NAME, Section, TableName
from mmvae.foundations.toml_document import Document, read
from mmvae.modalities.subsets import family, subset_name
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import ROLES, Role, choosing, top_level
from mmvae.training.config import TrainConfig

__all__ = [
    "EvaluateConfig",
    "Experiment",
    "LoadedConfig",
    "ReferenceConfig",
    "TrainConfig",
    "choices",
    "experiment_schema",
    "json_schema",
    "load_experiment",
    "resolved",
]


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
    modalities: dict[TableName, Any] = Field(
        min_length=1,
        description="The observed variables x_m, in this order; 'codec' chooses the keys of each.",
    )
    model: Any = Field(
        default_factory=dict, validate_default=True, description="The model; 'kind' chooses."
    )
    posterior: Any = Field(
        None,
        description="The family of the subset posteriors; 'family' chooses. Diagonal Gaussians "
        "unless given.",
    )
    prior: Any = Field(
        None,
        description="A prior that is fitted to the aggregate posterior, for samples without "
        "anything given; 'family' chooses. None unless given.",
    )
    train: TrainConfig = Field(TrainConfig(), description="How the model is fitted.")
    evaluate: EvaluateConfig = Field(EvaluateConfig(), description="What is measured, and how.")
    metrics: dict[TableName, Any] = Field(
        {}, description="Further figures, measured by evaluate; 'kind' chooses the keys of each."
    )
    observers: dict[TableName, Any] = Field(
        {}, description="What looks on at the training; 'kind' chooses the keys of each."
    )
    reference: ReferenceConfig | None = Field(
        None, description="A published row to hold the figures against."
    )

    @property
    def extensions(self) -> dict[str, Any]:
        """Extensions that are switched on: kind → its table, an instance of its ``Config``."""
        tables = {kind: getattr(self, kind) for kind in type(self).model_fields}
        return {
            kind: table
            for kind, table in tables.items()
            if kind not in top_level() and table is not None
        }

    @field_validator("name")
    @classmethod
    def _no_path(cls, name: str) -> str:
        if not set(name).isdisjoint("/\\\0") or name in (".", ".."):
            raise ValueError("expected a name, not a path; leave out / and \\.")
        if not is_plain(name) or len(name.encode()) > LONGEST_NAME:
            raise ValueError(
                f"expected at most {LONGEST_NAME} bytes of printable text without blanks around "
                f"it; set name = …"
            )
        return name


@dataclass(frozen=True)
class LoadedConfig:
    """An experiment and the origin of its values.

    Attributes:
        experiment: The validated experiment.
        text: The file as written.
        overrides: The ``key=value`` texts that were applied, in order.
        origins: Dotted key of each value → ``default``, ``file:line`` or ``-s key=value``.
        source: Its name in messages: the file's path, ``<stdin>`` or ``config``.
    """

    experiment: Experiment
    text: str
    overrides: tuple[str, ...]
    origins: Mapping[str, str]
    source: str

    @cached_property
    def values(self) -> dict[str, Any]:
        """Every key with its value as plain Python; None for an unset key."""
        return resolved(self.experiment)

    def resolved_toml(self) -> str:
        """The whole experiment as TOML, defaults included; it loads to an equal experiment."""
        return toml.dumps(self.values)

    @property
    def trained(self) -> dict[str, Any]:
        """The values that say what is trained, and how."""
        chosen = [table for table, role in choosing() if role.trained]
        tables = ("train", *chosen, *self.experiment.extensions)
        return {key: value for key, value in self.values.items() if key in tables}

    @property
    def received(self) -> frozenset[str]:
        """Keys of ``[data]`` without an override; see :attr:`mmvae.Source.received`."""
        given = {toml.parse_override(text)[0][:2] for text in self.overrides}
        if ("data",) in given:
            return frozenset()
        keys = type(self.experiment.data).model_fields
        return frozenset(key for key in keys if ("data", key) not in given)

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that change with any value that determines the training."""
        return hashlib.sha256(json.dumps(self.trained).encode()).hexdigest()[:16]


def load_experiment(
    source: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    registry: Registry | None = None,
) -> LoadedConfig:
    """Read and validate an experiment.

    Args:
        source: Path of a TOML file, ``-`` for standard input, or a mapping.
        overrides: Texts ``key=value`` that replace or add values, in order.
        registry: The plugins to choose from; default: the installed ones.

    Raises:
        ConfigError: The file cannot be read or has mistakes; the message lists all of them.
        PluginError: A plugin that it needs is broken.
    """
    document = read(source)
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
    check_figures(experiment, document)
    check_families(experiment, document, registry)
    origins = {
        toml.dotted(path): _origin(document, path) for path in toml.flatten(resolved(experiment))
    }
    return LoadedConfig(experiment, document.text, tuple(overrides), origins, document.source)


def check_figures(experiment: Experiment, document: Document) -> None:
    """Check, before training rather than after, that all likelihood queries of a config exist.

    Raises:
        ConfigError: A text names no query on the experiment's modalities.
    """
    named: dict[toml.KeyPath, list[str]] = {
        ("evaluate", "bounds"): list(experiment.evaluate.bounds)
    }
    if experiment.reference is not None:
        named |= {("reference", "bounds", key): [key] for key in experiment.reference.bounds}
    for path, texts in named.items():
        try:
            check_cells(texts, list(experiment.modalities))
        except UsageError as error:
            key = toml.dotted(path[:2])
            raise ConfigError(f"{document.place(path)}: {key}: {error}") from None


def check_families(experiment: Experiment, document: Document, registry: Registry) -> None:
    """Check, before anything is read, that families fit the model and the epochs.

    Raises:
        ConfigError: The model takes none, trains no such subset, or ends before a prior is fitted.
    """
    for table in ("posterior", "prior"):
        chosen = getattr(experiment, table)
        kind = experiment.model.kind
        if chosen is not None and not getattr(registry.find("model", kind), "takes_shapes", False):
            raise ConfigError(
                f"{document.place((table,))}: {table}: a {kind!r} model takes no family but its "
                f"own. Leave the table out, or set model.kind = 'jmvae'."
            )
    prior, epochs = experiment.prior, experiment.train.epochs
    if prior is not None and prior.first_epoch >= epochs:
        raise ConfigError(
            f"{document.place(('prior', 'first_epoch'))}: prior.first_epoch = "
            f"{prior.first_epoch}: expected less than train.epochs = {epochs}, or the prior is "
            f"never fitted."
        )
    wanted = getattr(experiment.posterior, "subsets", None) or ()
    subsets = family(experiment.model.subsets, tuple(experiment.modalities)) if wanted else []
    names = {subset_name(s): s for s in subsets}
    seen: set[str] = set()
    for name in wanted:
        if name not in names or name in seen:
            raise ConfigError(
                f"{document.place(('posterior', 'subsets'))}: posterior.subsets entry {name!r}: "
                f"expected subsets that the model trains, each once: {listed(names) or 'none'}."
                f"{nearest(name, names)}"
            )
        seen.add(name)


def choices(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """Each role and kind that an experiment names."""
    for table, role in choosing():
        given = getattr(experiment, table)
        each = given.values() if role.named else [given] if given else []
        yield from ((role.name, getattr(chosen, role.key)) for chosen in each)
    yield from (("extension", kind) for kind in experiment.extensions)


def resolved(experiment: Experiment) -> dict[str, Any]:
    """An experiment as plain values in the order of its schema, the choosing words first."""
    values = experiment.model_dump(mode="json")
    for table, role in choosing():
        if _may_lack(type(experiment).model_fields[table]):
            given = values.pop(table)  # to the end, or away
        else:
            given = values[table]
        if given and role.named:
            values[table] = {n: {role.key: t[role.key], **t} for n, t in given.items()}
        elif given:
            values[table] = {role.key: given[role.key], **given}
    return values


def json_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema (2020-12) of an experiment with these plugins, for editors."""
    schema = experiment_schema(registry).model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def experiment_schema(registry: Registry) -> type[Experiment]:
    """:class:`Experiment` with the tables that these plugins define."""
    return _experiment_schema(
        tuple((role, tuple(registry.kinds(role.name).items())) for role in ROLES.values())
    )


Kinds = tuple[tuple[str, type[Any]], ...]


@lru_cache(maxsize=32)
def _experiment_schema(offered: tuple[tuple[Role, Kinds], ...]) -> type[Experiment]:
    # Cached, so that experiments loaded twice with the same plugins are of one class and equal.
    fields: dict[str, Any] = {}
    for role, kinds in offered:
        fields |= {table: _table(table, role, kinds) for table in role.tables}
        fields |= {k: _switch(k, role, c.Config) for k, c in kinds if role.own_table}
    return create_model("Experiment", __base__=Experiment, __doc__=Experiment.__doc__, **fields)


def _table(table: str, role: Role, kinds: Kinds) -> tuple[Any, FieldInfo]:
    """The field of a table that chooses, or of named tables that each do."""
    empty: Any = {} if role.named else None
    about = f"Chooses a {role}; {role.key!r} chooses the keys."
    field = Experiment.model_fields.get(table) or Field(empty, description=about)
    chosen: Any = Annotated[Any, _Choice(table, role, kinds)]
    if role.named:
        return dict[TableName, chosen], field
    return chosen | None if _may_lack(field) else chosen, field


def _may_lack(field: FieldInfo) -> bool:
    """True if a config may leave a table out."""
    return field.default in (None, {})


def _switch(kind: str, role: Role, config: type[BaseModel]) -> tuple[Any, Any]:
    """The field of a table that switches on the class that it is called by."""
    about = f"Switches the {role} {kind!r} on."
    return _closed(config, kind, role.name, {}) | None, Field(None, description=about)


class _Choice:
    """Annotation of a table whose keys depend on one of them, by the classes of a registry."""

    def __init__(self, table: str, role: Role, kinds: Kinds) -> None:
        self.key, self.default = role.key, role.default or None
        word = table if len(role.tables) > 1 else role.name  # names in the schema stay apart
        self.schemas = {
            kind: _chosen(table_schema(table, offered), role, kind, word)
            for kind, offered in kinds
        }

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema]
        choices = {kind: handler.generate_schema(s) for kind, s in self.schemas.items()}
        if not choices:  # without any plugin; a union needs at least one choice
            choices = {"": core_schema.model_fields_schema({})}
        return core_schema.tagged_union_schema(choices, self._kind_of)

    def _kind_of(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return value.get(self.key, self.default) or None
        return getattr(value, self.key, None)


@lru_cache(maxsize=256)
def _chosen(config: type[BaseModel], role: Role, kind: str, word: str) -> type[BaseModel]:
    """The plugin's schema with the key that chose it, closed to unknown keys."""
    default = kind if kind == role.default else ...
    field = Field(default, description=f"Chooses the {role} {kind!r}.")
    return _closed(config, kind, word, {role.key: (Literal[kind], field)})


def _closed(
    config: type[BaseModel], kind: str, word: str, fields: Mapping[str, Any]
) -> type[BaseModel]:
    """The plugin's schema with further fields, closed to unknown keys."""
    title = "".join(word.capitalize() for word in kind.replace("_", "-").split("-"))
    closed = {"extra": "forbid", "frozen": True}
    return create_model(
        title + word.capitalize(),
        __base__=config,
        __doc__=config.__doc__,
        __cls_kwargs__=closed,
        **fields,
    )


def _origin(document: Document, path: toml.KeyPath) -> str:
    try:
        document.value(path)
    except KeyError:
        return "default"
    return document.place(path)
