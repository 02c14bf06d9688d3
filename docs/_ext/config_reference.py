"""``{config-reference}``: tables of every key, made from the schema that validates configs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generated import Generated
from pydantic import BaseModel
from sphinx.application import Sphinx

from mmvae.experiments.config_schema import experiment_schema
from mmvae.experiments.experiment import Experiment
from mmvae.foundations.section import Section
from mmvae.models.families import BESIDE
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import Role, choosing

Schema = Mapping[str, Any]


def sections(registry: Registry) -> Iterator[str]:
    """Yield the Markdown of each section of the TOML file."""
    roles, extensions = dict(choosing()), registry.kinds("extension")
    yield "## Top level"
    yield table(Experiment, only=["name"])
    for name, field in experiment_schema(registry).model_fields.items():
        if name in roles:
            yield from choices(name, roles[name], field.description, registry)
        elif name in extensions:
            yield f"## `[{name}]`\n\n{field.description} {origin(registry, 'extension', name)}"
            yield table(extensions[name].Config)
        elif isinstance(field.default, Section):
            yield f"## `[{name}]`\n\n{field.description}"
            yield table(type(field.default))


def choices(name: str, role: Role, about: str | None, registry: Registry) -> Iterator[str]:
    """Yield a table that chooses: the keys of all kinds, and after the role's last, of each."""
    heading = f"[{name}.NAME]" if role.named else f"[{name}]"
    yield f"## `{heading}`\n\n{about}"
    every = BESIDE.get(name, role.config)
    if every.model_fields:
        yield f"Keys of every {role}:"
        yield table(every)
    for kind, offered in registry.kinds(role.name).items() if name == role.tables[-1] else ():
        yield f'### `{role.key} = "{kind}"`\n\n{origin(registry, role.name, kind)}'
        yield table(offered.Config, without=role.config)


def origin(registry: Registry, role: str, kind: str) -> str:
    """Say which distribution offers a kind."""
    return f"From `{registry.provider(role, kind).distribution}`."


def table(
    config: type[BaseModel],
    without: type[BaseModel] | None = None,
    only: Sequence[str] | None = None,
) -> str:
    """Return a table of the keys of ``config``, less those of ``without``."""
    inherited = without.model_fields if without else {}
    schema = config.model_json_schema()
    keys = {
        key: value
        for key, value in schema.get("properties", {}).items()
        if key not in inherited and (only is None or key in only)
    }
    if not keys:
        return "No keys of its own."
    required = schema.get("required", [])
    rows = [
        f"| `{key}` | {_cell(_kind(value, schema))} | {_default(key, value, required)} "
        f"| {_cell(value.get('description', ''))} |"
        for key, value in keys.items()
    ]
    return "\n".join(["| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows])


def _kind(value: Schema, schema: Schema) -> str:
    """What a key takes, in words."""
    if "$ref" in value:
        return _kind(schema["$defs"][value["$ref"].rsplit("/", 1)[1]], schema)
    if "anyOf" in value or "oneOf" in value:
        options = value.get("anyOf", value.get("oneOf", []))
        return " or ".join(_kind(o, schema) for o in options if o.get("type") != "null")
    if "enum" in value or "const" in value:
        choices = value.get("enum", [value.get("const")])
        return ", ".join(f"`{json.dumps(choice)}`" for choice in choices)
    kind = value.get("type", "any value")
    if kind == "array":
        return f"list of {_kind(value.get('items', {}), schema)}"
    if kind == "object":
        items = value.get("additionalProperties")
        return "table" + (f" of {_kind(items, schema)}" if isinstance(items, dict) else "")
    return f"{kind}{_bounds(value)}"


def _bounds(value: Schema) -> str:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    return "".join(f" {sign} {value[key]:g}" for key, sign in signs.items() if key in value)


def _default(key: str, value: Schema, required: list[str]) -> str:
    if key in required:
        return "**required**"
    if value.get("default") is None:
        return "–"
    return f"`{json.dumps(value['default'], ensure_ascii=False)}`"  # scalars and lists: as TOML


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


class ConfigReference(Generated):
    """The tables of every section, with all that the installed plugins offer."""

    def markdown(self) -> str:
        """See :meth:`Generated.markdown`."""
        return "\n\n".join(sections(load_registry()))


def setup(app: Sphinx) -> dict[str, bool]:
    """Offer the directive."""
    app.add_directive("config-reference", ConfigReference)
    return {"parallel_read_safe": True}
