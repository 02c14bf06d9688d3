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
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import (
    ValidationError,
)

from mmvae.evaluation.config import EvaluateConfig
from mmvae.evaluation.query import check_cells
from mmvae.experiments.config_errors import explain
from mmvae.experiments.config_schema import _may_lack, experiment_schema, json_schema
from mmvae.experiments.experiment import Experiment
from mmvae.experiments.reference import ReferenceConfig
from mmvae.foundations import toml
from mmvae.foundations.errors import ConfigError, UsageError, listed, nearest
from mmvae.foundations.toml_document import Document, read
from mmvae.modalities.subsets import family, subset_name
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import choosing
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
        """The values that determine what is trained, and how."""
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


def _origin(document: Document, path: toml.KeyPath) -> str:
    try:
        document.value(path)
    except KeyError:
        return "default"
    return document.place(path)
