"""A study: a TOML file that names rows of tables, schedules to train them on, and claims.

Each row is a configuration of its own, an ordinary TOML file beside the study. A schedule is a
list of ``key=value`` texts, as ``-s`` takes them, that apply to every row.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError, model_validator

from mmvae.evaluation.config import EvaluateConfig
from mmvae.experiments.config_errors import explain
from mmvae.experiments.study.cells import check_cell
from mmvae.foundations import storage
from mmvae.foundations.errors import ConfigError, UsageError, nearest
from mmvae.foundations.section import Section
from mmvae.foundations.toml import KeyPath, dotted, literal
from mmvae.foundations.toml_document import Document, read
from mmvae.plugins.registry import Registry

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")]


class Schedule(Section):
    """``[schedules.NAME]``: training settings of all rows, in addition to their files."""

    about: str = Field("as the rows say", description="The schedule in a few words.")
    set: list[str] = Field([], description="Texts key=value, as -s takes them, for every row.")
    rows: list[Name] | None = Field(
        None, description="Names of the rows that it applies to; all unless given."
    )
    tolerance: float = Field(
        0.0, ge=0, description="Nats that a value may lie below the published one."
    )
    tuned: str = Field("", description="One sentence: the tuned settings, and the items used.")


class StudyTable(Section):
    """``[[tables]]``: one table of the study, of one of two kinds.

    Either ``cells``, of which each row shows those that it has; or ``coherence``, a modality with
    classes: the coherence of each row by the number of given modalities.
    """

    title: str = Field(min_length=1, description="Title of the table.")
    cells: list[str] = Field([], description="Likelihood queries, such as 'image|label@single'.")
    coherence: str | None = Field(
        None, min_length=1, description="The modality whose classes define coherence."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> StudyTable:
        if bool(self.cells) == (self.coherence is not None):
            raise ValueError("expected either cells = [queries], or coherence, a modality.")
        return self


class Claim(Section):
    """``[[claims]]``: an expected result, of one of two forms.

    Either ``rising``, rows from the worst to the best, each better than the previous one by
    ``at_least`` nats, by paired differences; or ``row``, whose value is ``below`` a number of
    nats.
    """

    text: str = Field(min_length=1, description="The claim as a sentence.")
    cell: str = Field(min_length=1, description="The likelihood query of the claim.")
    rising: list[str] | None = Field(
        None, min_length=2, description="Rows, each better than the one before."
    )
    at_least: float = Field(0.0, description="Minimum nats from each row of 'rising' to the next.")
    row: str | None = Field(None, description="The one row of a claim with 'below'.")
    below: float | None = Field(None, description="Nats below which the row's value lies.")

    @model_validator(mode="after")
    def _one_form(self) -> Claim:
        if (self.rising is None) == (self.row is None) or (self.row is None) != (
            self.below is None
        ):
            raise ValueError("expected either rising = [rows], or row and below.")
        return self


class StudyConfig(Section):
    """The keys of a study's file."""

    title: str = Field(min_length=1, description="Title of the page.")
    about: str = Field("", description="Markdown that opens the page of its results.")
    notes: str = Field("", description="Markdown that closes the page.")
    rows: list[str] = Field(min_length=1, description="TOML files, relative to the study's.")
    elsewhere: list[Name] = Field(
        [],
        description="Names of further rows that other programs train; their results are shown.",
    )
    schedules: dict[Name, Schedule] = Field(
        {"full": Schedule()},
        min_length=1,
        description="Schedules by name; the first one is the default.",
    )
    tables: list[StudyTable] = Field([], description="Tables of its values.")
    claims: list[Claim] = Field([], description="Expected results.")


@dataclass(frozen=True)
class Study:
    """A study as read from its file.

    Attributes:
        name: The file's name without its ending.
        path: The file.
        config: Its keys.
        rows: Name of each row → its file, in the study's order.
    """

    name: str
    path: Path
    config: StudyConfig
    rows: Mapping[str, Path]

    def schedule(self, name: str | None) -> tuple[str, Schedule]:
        """A schedule by name; None for the first one.

        Raises:
            UsageError: There is none of this name.
        """
        schedules = self.config.schedules
        if name is None:
            name = next(iter(schedules))
        if name not in schedules:
            raise UsageError(
                f"{self.path}: there is no schedule {name!r}, only {', '.join(schedules)}."
                f"{nearest(name, schedules)}"
            )
        return name, schedules[name]

    def shown(self, schedule: str) -> list[str]:
        """The rows of a schedule, in the study's order, those trained elsewhere last."""
        listed = self.config.schedules[schedule].rows
        every = [*self.rows, *self.config.elsewhere]
        return [name for name in every if listed is None or name in listed]

    def has_values(self, config: EvaluateConfig) -> bool:
        """True if rows with this evaluation have values for the study's tables."""
        judged = any(table.coherence for table in self.config.tables)
        return bool(config.bounds) or (judged and config.coherence)

    def chosen(self, schedule: str, only: Sequence[str]) -> list[str]:
        """The rows of these names that a schedule trains; without names, all of them.

        Raises:
            UsageError: It trains no row of a name.
        """
        trained = [name for name in self.shown(schedule) if name in self.rows]
        for name in only:
            if name not in trained:
                raise UsageError(
                    f"{self.path}: there is no row {name!r} on schedule {schedule!r}, only "
                    f"{', '.join(trained)}.{nearest(name, trained)}"
                )
        return [name for name in trained if name in only or not only]


def load_study(path: str | os.PathLike[str]) -> Study:
    """Read and validate a study; its rows' files must exist, and are read when they are run.

    Raises:
        ConfigError: The file cannot be read or has mistakes; the message names the line.
    """
    path = storage.named_path(path, "path")
    document = read(path)
    try:
        config = StudyConfig.model_validate_json(json.dumps(document.table), strict=True)
    except ValidationError as error:
        raise explain(error, document, StudyConfig, Registry.of()) from None
    _check_cells(config, document)
    rows = _rows(path, config, document)
    _check_names(config, document, [*rows, *config.elsewhere])
    for i, claim in enumerate(config.claims):
        for name in claim.rising or [claim.row or ""]:
            if name not in rows:
                key = "rising" if claim.rising else "row"
                raise ConfigError(
                    f"{document.place(('claims', i, key))}: claims[{i}].{key}: there is no row "
                    f"{name!r}, only {', '.join(rows)}.{nearest(name, rows)}"
                )
    return Study(path.stem, path, config, rows)


def _check_cells(config: StudyConfig, document: Document) -> None:
    written: dict[KeyPath, str] = {
        ("tables", i, "cells", j): cell
        for i, table in enumerate(config.tables)
        for j, cell in enumerate(table.cells)
    }
    written |= {("claims", i, "cell"): claim.cell for i, claim in enumerate(config.claims)}
    for path, cell in written.items():
        try:
            check_cell(cell)
        except UsageError as error:
            raise ConfigError(f"{document.place(path)}: {dotted(path)}: {error}") from None


def _check_names(config: StudyConfig, document: Document, known: Sequence[str]) -> None:
    """Check that a schedule's rows exist, and that no two rows have the same name."""
    for name, schedule in config.schedules.items():
        for i, row in enumerate(schedule.rows or ()):
            if row not in known:
                place = document.place(("schedules", name, "rows", i))
                raise ConfigError(
                    f"{place}: schedules.{name}.rows[{i}]: there is no row {row!r}, only "
                    f"{', '.join(known)}.{nearest(row, known)}"
                )
    for i, row in enumerate(config.elsewhere):
        if known.count(row) > 1:
            place = document.place(("elsewhere", i))
            raise ConfigError(f"{place}: elsewhere[{i}]: another row is named {row!r} too.")


def _rows(path: Path, config: StudyConfig, document: Document) -> dict[str, Path]:
    rows: dict[str, Path] = {}
    for i, written in enumerate(config.rows):
        file = path.parent / written
        where = f"{document.place(('rows', i))}: rows[{i}] = {literal(written)}"
        if not file.is_file():
            there = [found.name for found in file.parent.glob("*.toml")]
            raise ConfigError(f"{where}: no such file {file}.{nearest(file.name, there)}")
        if file.stem in rows:
            raise ConfigError(
                f"{where}: another row is named {file.stem!r} too; rows are named by their "
                f"files, so rename one."
            )
        rows[file.stem] = file
    return rows
