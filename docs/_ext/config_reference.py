"""``{config-reference}``: tables of every key, made from the schema that validates configs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from generated import Generated
from pydantic import BaseModel
from sphinx.application import Sphinx

from mmvae.data.source import SourceConfig
from mmvae.evaluation.metric import MetricConfig
from mmvae.experiments.config import EvaluateConfig, Experiment, TrainConfig
from mmvae.modalities.codec import CodecConfig
from mmvae.models.families import PosteriorKeys, PriorKeys
from mmvae.plugins.loader import load_registry
from mmvae.plugins.registry import Registry
from mmvae.training.observer import ObserverConfig

Schema = Mapping[str, Any]


def sections(registry: Registry) -> Iterator[str]:
    """Yield the Markdown of each section of the TOML file."""
    yield "## Top level"
    yield table(Experiment, only=["name"])
    yield "## `[data]`\n\n`source` names where items come from; these keys are every source's."
    yield table(SourceConfig)
    for kind, source in registry.kinds("source").items():
        yield f'### `source = "{kind}"`\n\n{origin(registry, "source", kind)}'
        yield table(source.Config, without=SourceConfig)
    yield (
        "## `[modalities.NAME]`\n\nOne section for each modality, in the order that subsets are "
        "named by. `codec` names its kind; these keys are every codec's."
    )
    yield table(CodecConfig)
    for kind, codec in registry.kinds("codec").items():
        yield f'### `codec = "{kind}"`\n\n{origin(registry, "codec", kind)}'
        yield table(codec.Config, without=CodecConfig)
    for kind, model in registry.kinds("model").items():
        yield f'## `[model]` with `kind = "{kind}"`\n\n{origin(registry, "model", kind)}'
        yield table(model.Config)
    yield (
        "## `[posterior]`\n\nThe family of subset posteriors, in place of diagonal Gaussians; "
        "`family` names it. This key is every family's."
    )
    yield table(PosteriorKeys)
    yield (
        "## `[prior]`\n\nA prior that is fitted to the aggregate posterior; `family` names it. "
        "These keys are every family's."
    )
    yield table(PriorKeys)
    for kind, family in registry.kinds("family").items():
        yield f'### `family = "{kind}"`\n\n{origin(registry, "family", kind)}'
        yield table(family.Config)
    for kind, extension in registry.kinds("extension").items():
        yield (
            f"## `[{kind}]`\n\nSwitches an extension of the training on. "
            f"{origin(registry, 'extension', kind)}"
        )
        yield table(extension.Config)
    yield (
        "## `[metrics.NAME]`\n\nOne section for each further figure that is measured. `kind` "
        "names it; this key is every metric's."
    )
    yield table(MetricConfig)
    for kind, metric in registry.kinds("metric").items():
        yield f'### `kind = "{kind}"`\n\n{origin(registry, "metric", kind)}'
        yield table(metric.Config, without=MetricConfig)
    yield (
        "## `[observers.NAME]`\n\nOne section for each that looks on at the training. `kind` "
        "names it; this key is every observer's."
    )
    yield table(ObserverConfig)
    for kind, observer in registry.kinds("observer").items():
        yield f'### `kind = "{kind}"`\n\n{origin(registry, "observer", kind)}'
        yield table(observer.Config, without=ObserverConfig)
    yield "## `[train]`"
    yield table(TrainConfig)
    yield "## `[evaluate]`"
    yield table(EvaluateConfig)


def origin(registry: Registry, role: Any, kind: str) -> str:
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
