"""Tables of a comparison: likelihood queries, other statistics, differences on the same items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmvae.evaluation.query import cell_title, parse_cell
from mmvae.experiments.comparison.compare import Comparison
from mmvae.report.formats import STANDARDISED, percent, spread
from mmvae.report.tables import Table, density

NONE = "–"
PUBLISHED = "published"


def heading(comparison: Comparison) -> str:
    """The compared runs and their items; per column if these differ."""
    on = {column.heading: column.evaluated_on for column in comparison.columns}
    places = {h: f"{e['items']:,} items of the {e['split']} split" for h, e in on.items()}
    fingerprints = {h: e["data"] for h, e in on.items()}
    if len(set(fingerprints.values())) > 1:
        places = {h: f"{place} of the data {fingerprints[h]}" for h, place in places.items()}
    if len(set(places.values())) == 1:
        return f"Compared on {next(iter(places.values()))}; nats per item"
    listed = "\n".join(f"  {heading}: {place}" for heading, place in places.items())
    return f"Computed on DIFFERENT items, so no fair comparison; nats per item\n{listed}"


def comparison_tables(comparison: Comparison) -> list[Table]:
    """The tables of a comparison that have rows."""
    made = (cells(comparison), others(comparison), differences(comparison))
    return [table for table in made if table.rows]


def cells(comparison: Comparison) -> Table:
    """Every likelihood query, next to the published value if the configuration names a row."""
    names = [column.heading for column in comparison.columns]
    published = {h for row in comparison.published.values() for h in row}
    header = ["quantity"]
    for name in names:
        header += [name, PUBLISHED] if name in published else [name]
    rows = []
    for cell, row in comparison.cells.items():
        line = [title(cell, comparison)]
        for name in names:
            line.append(marked(row[name]) if name in row else NONE)
            if name in published:
                statistic = comparison.published.get(cell, {}).get(name)
                line.append(NONE if statistic is None else f"{statistic:.10g}")
        rows.append(tuple(line))
    note = "\n".join([*_marks(comparison), *_sampling(comparison), *_sources(comparison)])
    return Table("Log-likelihoods", tuple(header), tuple(rows), note)


def others(comparison: Comparison) -> Table:
    """ELBO, KL and other statistics; shares in percent."""
    names = [column.heading for column in comparison.columns]
    rows = [
        (label, *(write(plus_minus(row[h])) if h in row else NONE for h in names))
        for statistics, write in ((comparison.figures, spread), (comparison.shares, percent))
        for label, row in statistics.items()
    ]
    return Table("Other statistics", ("statistic", *names), tuple(rows), _errors(comparison))


def differences(comparison: Comparison) -> Table:
    """Mean differences from the baseline over the same items."""
    base = comparison.baseline
    found = {title(cell, comparison): row for cell, row in comparison.differences.items()}
    found |= comparison.metric_differences
    shown = {heading for row in found.values() for heading in row}
    names = [c.heading for c in comparison.columns if c.heading in shown]
    rows = [
        (label, *(signed(row[h]) if h in row else NONE for h in names))
        for label, row in found.items()
    ]
    seeds = any(len(column.runs) > 1 for column in comparison.columns)
    note = (
        f"Positive: higher than {base}. ± is the standard error of the mean difference over the "
        f"items that both share."
    )
    if seeds:
        note += (
            " Several seeds are averaged item by item; ± does not include the variation of seeds."
        )
    about = f"Differences from {base}, item by item"
    return Table(about, ("statistic", *names), tuple(rows), note)


def title(cell: str, comparison: Comparison) -> str:
    """``"log p(image | label), single"``."""
    modalities = comparison.modalities
    return cell_title(parse_cell(cell, modalities)[0], modalities)


def plus_minus(statistic: Mapping[str, Any]) -> dict[str, float | None]:
    """The statistic with its ± value: sd over seeds, or standard error over items."""
    return {"mean": statistic["mean"], "error": statistic.get("sd", statistic.get("error"))}


def marked(statistic: Mapping[str, Any]) -> str:
    """The value of a query: ≥ if it bounds the log-likelihood from below, ≈ if it estimates it.

    In parentheses that of standardised values, where there is one.
    """
    standardised = statistic.get("standardised")
    inner = f" ({spread(plus_minus(standardised))})" if standardised else ""
    return f"{'≥' if statistic['bound'] else '≈'} {spread(plus_minus(statistic))}{inner}"


def signed(statistic: Mapping[str, Any]) -> str:
    """A difference with its sign."""
    return ("+" if statistic["mean"] > 0 else "") + spread(plus_minus(statistic))


def _errors(comparison: Comparison) -> str:
    seeds = any(len(column.runs) > 1 for column in comparison.columns)
    over = "; of several seeds, the standard deviation over them" if seeds else ""
    return f"± is the standard error over items{over}."


def _marks(comparison: Comparison) -> Iterator[str]:
    yield _errors(comparison)
    bounds = {
        statistic["bound"] for row in comparison.cells.values() for statistic in row.values()
    }
    if True in bounds:
        yield "≥: a lower bound of the log-likelihood."
    if False in bounds:
        yield "≈: an estimate, which may also be too high."
    densities = (run.evaluation.densities for c in comparison.columns for run in c.runs)
    yield from dict.fromkeys(density(pair) for each in densities for pair in each.items())
    if any(
        "standardised" in statistic
        for row in comparison.cells.values()
        for statistic in row.values()
    ):
        yield STANDARDISED


def _sampling(comparison: Comparison) -> Iterator[str]:
    """Proposals, k and the source of log p(x_G); by column if columns differ."""
    yield (
        "multiple: z is sampled from the posterior given all of the run's modalities; single: "
        "given the targets, or for a conditional given the modalities after the bar."
    )
    if samples := _by_column(comparison, "samples"):
        yield f"Samples of z per item, k: {samples}."
    if origins := _by_column(comparison, "given from"):
        yield f"In an estimate, log p of the given modalities is computed by samples of {origins}."


def _by_column(comparison: Comparison, key: str) -> str:
    """The values of a key of the queries; by column if a query's differ between columns."""
    rows = comparison.cells.values()
    columns: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, statistic in row.items():
            if statistic[key] is not None:
                value = statistic[key]
                text = f"{value:,}" if isinstance(value, int) else str(value)
                columns.setdefault(name, {})[text] = None
    if any(len({statistic[key] for statistic in row.values()} - {None}) > 1 for row in rows):
        parts = (f"{name}: {', '.join(values)}" for name, values in columns.items())
        return "DIFFERENT: " + "; ".join(parts)
    return ", ".join(dict.fromkeys(text for values in columns.values() for text in values))


def _sources(comparison: Comparison) -> Iterator[str]:
    found = [c.first.config.reference for c in comparison.columns]
    sources = dict.fromkeys(reference.source for reference in found if reference)
    if sources and comparison.published:
        yield f"{PUBLISHED}: {'; '.join(sources)}."
