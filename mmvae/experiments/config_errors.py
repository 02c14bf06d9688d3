"""Errors of a configuration, described in its own terms: place, key, value, expected value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from mmvae.foundations.errors import (
    LISTED,
    LONG,
    LONGEST,
    ConfigError,
    MmvaeError,
    PluginError,
    nearest,
    shortened,
)
from mmvae.foundations.toml import KeyPath, dotted, literal
from mmvae.foundations.toml_document import Document
from mmvae.models.families import BESIDE, joined
from mmvae.plugins.registry import Registry
from mmvae.plugins.roles import choosing


def table_schema(table: str, offered: type[Any]) -> type[BaseModel]:
    """The keys of a table for which this class was chosen, without the choosing key."""
    config: type[BaseModel] = offered.Config
    return joined(config, BESIDE[table]) if table in BESIDE else config


EXAMINED = 1000
"""Maximum number of findings that are put into words: each is compared with all known keys."""

_EXPECTED = {
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "path_type": "a path in quotes",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "greater_than": "a number > {gt}",
    "greater_than_equal": "a number >= {ge}",
    "less_than": "a number < {lt}",
    "less_than_equal": "a number <= {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "too_short": "at least {min_length} entries, found {actual_length}",
    "too_long": "at most {max_length} entries",
}


@dataclass(frozen=True)
class Mistake:
    """One mistake to correct.

    Attributes:
        path: Its key.
        text: The message.
        plugin: True if a broken plugin may be the cause.
        branch: The value that one branch of a union expected; empty if there is no union.
    """

    path: KeyPath
    text: str
    plugin: bool = False
    branch: str = ""


@dataclass(frozen=True)
class _Location:
    """The location of a finding: key path, the schema around it, its field, whether in a union."""

    path: KeyPath
    schema: type[BaseModel] | None
    field: FieldInfo | None
    union: bool


def explain(
    error: ValidationError, document: Document, root: type[BaseModel], registry: Registry
) -> MmvaeError:
    """Convert a failed validation to one error that lists the first mistakes, by their lines.

    Args:
        error: The error from validating ``document.table`` against ``root``.
        document: The source of the values.
        root: The schema.
        registry: The registry in which unknown codecs, sources and models were looked up.

    Returns:
        A ``PluginError`` if every mistake is a plugin's, a ``ConfigError`` otherwise.
    """
    reader = _Reader(document, root, registry)
    mistakes: dict[KeyPath, Mistake] = {}
    found = error.errors(include_url=False)
    for details in found[:EXAMINED]:
        mistake = reader.mistake(details)
        before = mistakes.get(mistake.path)
        if before and before.branch and mistake.branch:
            both = f"{before.branch} or {mistake.branch}"
            mistake = Mistake(mistake.path, f"expected {both}.", branch=both)
        mistakes[mistake.path] = mistake
    reported = [m for m in mistakes.values() if not (m.branch and _reported_deeper(m, mistakes))]
    lines = [reader.line(mistake) for mistake in reported]
    blame = PluginError if all(mistake.plugin for mistake in reported) else ConfigError
    if len(lines) == 1 and len(found) <= EXAMINED:
        return blame(lines[0])
    lines.sort(key=_by_line)
    more = "more than " if len(found) > EXAMINED else ""
    shown = "\n  ".join(lines[:LISTED])
    rest = f"\n  These are the first {LISTED}." if len(lines) > LISTED else ""
    return blame(f"{document.source} has {more}{len(lines):,} mistakes:\n  {shown}{rest}")


def _reported_deeper(mistake: Mistake, others: Iterable[KeyPath]) -> bool:
    """True if another branch of the union fits, except for a mistake inside the value."""
    depth = len(mistake.path)
    return any(len(path) > depth and path[:depth] == mistake.path for path in others)


def _by_line(line: str) -> int:
    place = re.match(r".*?:(\d+): ", line)
    return int(place[1]) if place else 0


@dataclass(frozen=True)
class _Reader:
    """Converts pydantic's findings on one document to mistakes."""

    document: Document
    root: type[BaseModel]
    registry: Registry

    def mistake(self, details: ErrorDetails) -> Mistake:
        kind = details["type"]
        if kind.startswith("union_tag"):
            return self._choice(details["loc"])
        found = self._locate(details["loc"], kind)
        path = found.path
        if kind == "missing" and isinstance(path[-1], int):  # for a list of fixed length
            return Mistake(path[:-1], f"expected at least {path[-1] + 1} entries.")
        if kind == "missing":
            about = found.field.description if found.field else None
            return Mistake(path, f"this key is required{f': {about}' if about else '.'}")
        if kind == "extra_forbidden" and self._is_extension(path):
            return self._extension(path)
        if kind == "extra_forbidden":
            words = sorted(found.schema.model_fields) if found.schema else []
            return Mistake(path, f"unknown key.{_suggest(str(path[-1]), words)}")
        if kind in ("value_error", "assertion_error"):
            return Mistake(path, str(details["ctx"]["error"]))
        if path == ("modalities",) and kind == "too_short":
            return Mistake(path, "expected at least one table [modalities.NAME].")
        named = [table for table, role in choosing() if role.named]
        if path[0] in named and details["loc"][-1] == "[key]":
            return Mistake(path, "expected a name of the letters A-Z and a-z, digits, _ and -.")
        return _wrong_value(found, details)

    def line(self, mistake: Mistake) -> str:
        place = self.document.place(mistake.path)
        key, text = shortened(dotted(mistake.path), LONG), shortened(mistake.text, LONGEST)
        try:
            value = self.document.value(mistake.path)
        except KeyError:
            return f"{place}: {key}: {text}"
        shown = "" if isinstance(value, Mapping) else f" = {literal(value)}"
        return f"{place}: {key}{shown}: {text}"

    def _choice(self, loc: KeyPath) -> Mistake:
        """A table that does not say, or wrongly says, which codec, source or model it is for."""
        role = dict(choosing())[str(loc[0])]
        table = self.document.value(loc) if self._written(loc) else {}
        if not isinstance(table, Mapping):
            return Mistake(loc, f"expected a table with the key {role.key!r}.")
        word = table.get(role.key, role.default or None)
        path = (*loc, role.key)
        if word is None:
            words = ", ".join(self.registry.kinds(role.name)) or "none is installed"
            return Mistake(path, f"this key is required; expected one of: {words}.")
        if not isinstance(word, str):
            return Mistake(path, "expected a text in quotes.")
        try:
            self.registry.find(role.name, word)
        except MmvaeError as error:
            return Mistake(path, str(error), plugin=isinstance(error, PluginError))
        raise AssertionError(f"{role} {word!r} is known, yet validation refused it")

    def _is_extension(self, path: KeyPath) -> bool:
        """True if an unknown key is a top-level table that is not a misspelt table of the core."""
        near = nearest(str(path[-1]), self.root.model_fields)
        return len(path) == 1 and isinstance(self.document.value(path), Mapping) and not near

    def _extension(self, path: KeyPath) -> Mistake:
        """A table for which no installed plugin has an extension."""
        try:
            self.registry.find("extension", str(path[0]))
        except MmvaeError as error:
            text = f"unknown table: {error} Install the plugin that it belongs to, or remove it."
            return Mistake(path, text, plugin=isinstance(error, PluginError))
        raise AssertionError(f"extension {path[0]!r} is known, yet validation refused it")

    def _locate(self, loc: KeyPath, kind: str) -> _Location:
        """Find the key that pydantic's location refers to.

        pydantic also puts the chosen codec and the branches of unions into its location. They are
        no keys, so the location is followed along schema and values, and these are dropped.
        """
        schema: type[BaseModel] | None = self.root
        owner, info, path, union = schema, None, list[str | int](), False
        table = str(loc[0]) if loc else ""
        role = dict(choosing()).get(table)
        for position, part in enumerate(loc):
            if role and position == (2 if role.named else 1) and part != "[key]":
                schema = table_schema(table, self.registry.kinds(role.name)[str(part)])
                continue
            known = schema.model_fields.get(str(part)) if schema else None
            last = position == len(loc) - 1
            if known:
                owner, info, schema = schema, known, _inner(known.annotation)
            elif last and kind in ("missing", "extra_forbidden"):
                owner, info = schema, None
            elif not self._written((*path, part)):
                union |= part != "[key]"
                continue
            path.append(part)
        return _Location(tuple(path), owner, info, union)

    def _written(self, path: KeyPath) -> bool:
        try:
            self.document.value(path)
        except KeyError:
            return False
        return True


def _wrong_value(found: _Location, details: ErrorDetails) -> Mistake:
    path = found.path
    template = _EXPECTED.get(details["type"])
    if template is None:
        message = details["msg"].removeprefix("Input should be ")
        return Mistake(path, f"expected {message[:1].lower()}{message[1:]}.")
    bounds = {key: _whole(value) for key, value in details.get("ctx", {}).items()}
    expected = template.format(**bounds)
    hint = ""
    if details["type"] in ("literal_error", "enum") and isinstance(details["input"], str):
        hint = nearest(details["input"], re.findall(r"'([^']*)'", expected))
    return Mistake(path, f"expected {expected}.{hint}", branch=expected if found.union else "")


def _whole(value: Any) -> Any:
    """Format a bound without a needless ``.0``."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The one schema in an annotation such as ``list[Layer] | None``, if any."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = [found for part in get_args(annotation) if (found := _inner(part))]
    return inner[0] if len(inner) == 1 else None


def _suggest(word: str, words: Sequence[str]) -> str:
    """The nearest word, or all of them if none is near."""
    return nearest(word, words) or f" Expected one of: {', '.join(words)}."
