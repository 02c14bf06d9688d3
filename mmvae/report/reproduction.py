"""The page of a study: its runs, its tables beside published results, and its claims."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mmvae.experiments.study.claims import (
    Figure,
    figures,
    number,
)
from mmvae.experiments.study.record import Record
from mmvae.experiments.study.study import Schedule, Study, StudyTable
from mmvae.foundations.toml import literal, parse
from mmvae.report.canvas import require_matplotlib
from mmvae.report.claims import claim_tables, nats, order_tables
from mmvae.report.given import coherence_lines, coherence_table
from mmvae.report.tables import Table
from mmvae.training.progress import duration

GENERATED = (
    "<!-- Written by `mmvae reproduce STUDY --page`, from the results' files; not by hand. -->"
)

VERSIONS = ("mmvae", "python", "torch", "numpy", "multivae")
"""The versions of a record that the page names."""


def page(study: Study, results: Mapping[str, Sequence[Record]]) -> str:
    """The page of a study in Markdown: a function of the study's file and its results' files only.

    Args:
        study: The study.
        results: Schedule → records of the existing rows, in the study's order.
    """
    parts = [GENERATED, f"# {study.config.title}", study.config.about.strip()]
    parts += [
        f"![{table.title}: {', '.join(results)}](figures/{picture_name(study, table)})"
        for table in pictured(study, results)
    ]
    for name, records in results.items():
        parts += section(study, name, records)
    if not results:
        parts.append("There are no results so far.")
    parts.append(study.config.notes.strip())
    return "\n\n".join(part for part in parts if part) + "\n"


def pictured(study: Study, results: Mapping[str, Sequence[Record]]) -> list[StudyTable]:
    """The tables that are also drawn: those of coherence that have rows."""
    judged = {label for records in results.values() for r in records for label in r.judged}
    return [table for table in study.config.tables if table.coherence in judged]


def picture_name(study: Study, table: StudyTable) -> str:
    """The figure's file, in a folder ``figures`` beside the page."""
    return f"{study.name}-{table.coherence}.png"


def pictures(study: Study, results: Mapping[str, Sequence[Record]]) -> dict[str, bytes]:
    """The figures of a page: file → PNG.

    Raises:
        UsageError: matplotlib is not installed.
    """
    tables = pictured(study, results)
    if tables:
        require_matplotlib()
    return {
        picture_name(study, table): coherence_lines(table.coherence or "", results)
        for table in tables
    }


def section(study: Study, name: str, records: Sequence[Record]) -> list[str]:
    """The runs of one schedule and their results."""
    schedule = study.config.schedules[name]
    parts = [f"## Schedule `{name}`: {schedule.about}", trained(schedule, records)]
    parts += [changes(schedule), *conditions(records)]
    lacking = [row for row in study.shown(name) if row not in {record.row for record in records}]
    if lacking:
        parts.append(f"Without results so far: {', '.join(lacking)}.")
    parts.append(markdown(trainings(records)))
    for table in cell_tables(study, name, records):
        parts += [f"### {table.title}", markdown(table), table.note]
    for table in (*order_tables(study, records), *claim_tables(study, records)):
        parts += [f"### {table.title}", markdown(table), table.note]
    return parts


def trained(schedule: Schedule, records: Sequence[Record]) -> str:
    """Seeds, number of training items and tuning, in one line."""
    seeds = sorted({record.seed for record in records})
    items = dict.fromkeys(f"{record.data['items']['train']:,}" for record in records)
    one = "one training of each row" if len(seeds) == 1 else "one training of each row and seed"
    tuned_keys = f"Tuned: {schedule.tuned.strip()}"
    tuned = (
        tuned_keys if schedule.tuned else "What was tuned, and on which items, is not recorded."
    )
    return (
        f"Seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}, {one}: differences do not "
        f"say how much other seeds would change. Training items: {' or '.join(items)}. {tuned}"
    )


def changes(schedule: Schedule) -> str:
    """The settings of a schedule."""
    if not schedule.set:
        return "Every row is trained with the keys of its file."
    return f"Every row has the keys of its file and {', '.join(f'`{s}`' for s in schedule.set)}."


def conditions(records: Sequence[Record]) -> list[str]:
    """Items, number of samples, hardware and versions."""
    return [
        *distinct_sentences(
            [r for r in records if r.cells],
            lambda r: (
                f"Values are means over {r.items:,} items of the {r.split} split, in nats per "
                f"item, with k = {r.k:,} samples of z per item and query"
            ),
        ),
        *distinct_sentences([r for r in records if r.judged], coherence_items),
        *distinct_sentences(records, lambda r: f"Items: {keys(parse(r.config, r.row)['data'])}"),
        *(
            line
            for m in dict.fromkeys(m for r in records for m in r.modalities)
            for line in distinct_sentences([r for r in records if m in r.modalities], modality(m))
        ),
        *distinct_sentences(records, lambda r: f"Trained on: {hardware(r)}"),
        *distinct_sentences(
            records,
            lambda r: (
                "Versions: "
                + ", ".join(
                    f"{name} {r.versions[name]}" for name in VERSIONS if name in r.versions
                )
            ),
        ),
    ]


def coherence_items(record: Record) -> str:
    """The items that coherence covers."""
    most = parse(record.config, record.row)["evaluate"]["coherence_samples"]
    items = min(most, record.items)
    return (
        f"Coherence is measured on {items:,} items of the {record.split} split, with one sample "
        f"of z for each set of given modalities"
    )


def modality(name: str) -> Callable[[Record], str]:
    """A function that describes a modality's codec and scale, on which its nats depend."""
    return lambda r: f"Modality {name}: {keys(parse(r.config, r.row)['modalities'][name])}"


def keys(table: Mapping[str, Any]) -> str:
    """A table of a config in one line."""
    return ", ".join(f"`{key} = {literal(value)}`" for key, value in table.items())


def distinct_sentences(records: Sequence[Record], tell: Callable[[Record], str]) -> Iterable[str]:
    """Each distinct sentence about the records, with the rows' names if there are several."""
    said: dict[str, list[str]] = {}
    for record in records:
        said.setdefault(tell(record), []).append(record.label)
    for sentence, labels in said.items():
        yield f"{sentence}." if len(said) == 1 else f"{sentence} ({'; '.join(labels)})."


def hardware(record: Record) -> str:
    """A row's hardware in one line."""
    has = record.hardware
    cores, threads = has["cores"], has["threads"]
    device = "" if has["device"] == "cpu" else f"{has['device']}, "
    return (
        f"{device}{has['processor']} ({has['architecture']}), "
        f"{cores} core{'s' * (cores != 1)}, {threads} thread{'s' * (threads != 1)}"
    )


def trainings(records: Sequence[Record]) -> Table:
    """The training of each row."""
    header = ("model", "row", "config", "seed", "items", "epochs", "steps", "training time")
    rows = tuple(
        (
            r.label,
            f"`{r.row}`",
            f"`{r.config_hash}`",
            str(r.seed),
            f"{r.data['items']['train']:,}",
            str(r.epochs),
            f"{r.steps:,}",
            duration(r.training_seconds),
        )
        for r in records
    )
    return Table("Trainings", header, rows)


def cell_tables(study: Study, name: str, records: Sequence[Record]) -> list[Table]:
    """The tables of a study on one schedule that have values."""
    schedule, made = study.config.schedules[name], []
    for table in study.config.tables:
        title = f"{table.title} ({name} schedule)"
        if table.coherence is not None:
            made.append(coherence_table(title, table.coherence, records))
        else:
            made.append(cell_table(title, figures(table.cells, records), schedule))
    return [table for table in made if table.rows]


def cell_table(title: str, found: Sequence[Figure], schedule: Schedule) -> Table:
    """One table: every value beside the published one, if there are any published ones."""
    published = any(figure.published is not None for figure in found)
    header = ["model", "samples"]
    header += ["published"] if published else []
    header += ["ours", "standard error"]
    header += ["difference", asked(schedule)] if published else []
    header += ["effective samples", "is a"]
    rows = []
    for figure in found:
        row = [figure.label, figure.proposal or "–"]
        row += [nats(figure.published)] if published else []
        row += [nats(figure.mean), nats(figure.error)]
        row += [nats(figure.difference, "+"), reached(figure, schedule)] if published else []
        row += ["–" if figure.effective is None else f"{figure.effective:,.1f}"]
        rows.append(tuple([*row, "bound" if figure.bound else "estimate"]))
    return Table(title, tuple(header), tuple(rows), note(found, schedule))


def asked(schedule: Schedule) -> str:
    """The heading for the requirement that published values set for ours."""
    if not schedule.tolerance:
        return "as published or better"
    return f"within {number(schedule.tolerance)} or better"


def reached(figure: Figure, schedule: Schedule) -> str:
    """The verdict on whether a value meets the requirement."""
    return {True: "yes", False: "no", None: "–"}[figure.reached(schedule.tolerance)]


def note(found: Sequence[Figure], schedule: Schedule) -> str:
    """A note on how to read a table of likelihood queries."""
    parts = []
    if compared := [f for f in found if f.published is not None]:
        count = sum(bool(f.reached(schedule.tolerance)) for f in compared)
        parts.append(f"{asked(schedule).capitalize()}: {count} of {len(compared)} values.")
    if sources := sorted({f.given_from for f in found if f.given_from}):
        parts.append(f"log p of the given modalities, which is subtracted: {'; '.join(sources)}.")
    return " ".join(parts)


def markdown(table: Table) -> str:
    """Format a table in Markdown."""
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )
