"""The JSON Schema of a config: tables whose keys installed plugins give."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    GetCoreSchemaHandler,
    create_model,
)
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from mmvae.experiments.config_errors import table_schema
from mmvae.experiments.experiment import Experiment, Kinds
from mmvae.foundations.section import TableName
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import ROLES, Role


def json_schema(registry: Registry) -> dict[str, Any]:
    """JSON Schema (2020-12) of an experiment with these plugins, for editors."""
    schema = experiment_schema(registry).model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def experiment_schema(registry: Registry) -> type[Experiment]:
    """:class:`Experiment` with the tables that these plugins define."""
    return _experiment_schema(
        tuple((role, tuple(registry.kinds(role.name).items())) for role in ROLES.values())
    )


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
