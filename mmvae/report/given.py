"""Coherence of a study's rows by the number of given modalities: a table and a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Any

from mmvae.experiments.study.record import Record
from mmvae.foundations.printable import short_name
from mmvae.report.canvas import MOST_OF_A_LABEL, class_styles, new_figure, png
from mmvae.report.formats import Figure
from mmvae.report.tables import Table

NOTE = (
    "Percent of the generated values that a classifier, trained on real items, assigns to the "
    "item's own {label}. Each value is the mean over all sets of so many given modalities and all "
    "modalities outside of them, without {label} itself; ± is the standard error over items. The "
    "last column is the accuracy of the classifiers on real items, about the highest coherence to "
    "expect."
)


def coherence_table(title: str, label: str, records: Sequence[Record]) -> Table:
    """Coherence from one, two, … given modalities, row by row.

    Args:
        title: The table's title.
        label: The modality whose classes values should show.
        records: The rows; those without coherence are left out.
    """
    found = [(r.label, r.judged[label]) for r in records if label in r.judged]
    sizes = sorted({int(size) for _, matrix in found for size in matrix["by size"]})
    header = ("model", *(f"{size} given" for size in sizes), "real")
    rows = tuple(
        (name, *(share(matrix["by size"].get(str(size))) for size in sizes), real(matrix))
        for name, matrix in found
    )
    return Table(title, header, rows, NOTE.format(label=label))


def share(statistic: Figure | None) -> str:
    """A share in percent with its standard error; – for none."""
    if statistic is None or statistic["mean"] is None:
        return "–"
    error = statistic["error"]
    return f"{100 * statistic['mean']:.1f}" + ("" if error is None else f" ± {100 * error:.1f}")


def real(matrix: Mapping[str, Any]) -> str:
    """The mean over modalities of their classifiers' accuracy on real items, in percent."""
    accuracies = matrix["classifier on real items"].values()
    return f"{100 * mean(a['mean'] for a in accuracies):.1f}" if accuracies else "–"


def coherence_lines(label: str, results: Mapping[str, Sequence[Record]]) -> bytes:
    """Draw coherence by the number of given modalities, a panel per schedule: a PNG file.

    Args:
        label: The modality whose classes values should show.
        results: Schedule → its rows; those without coherence are left out.
    """
    panels = {name: [r for r in rows if label in r.judged] for name, rows in results.items()}
    panels = {name: rows for name, rows in panels.items() if rows}
    labels = list(dict.fromkeys(r.label for rows in panels.values() for r in rows))
    styles = dict(zip(labels, class_styles(len(labels)), strict=True))
    figure = new_figure(0.6 + 2.9 * len(panels), 3.6)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    drawn = {}
    for panel, (name, rows) in zip(axes, panels.items(), strict=True):
        for record in rows:
            by_size = sorted((int(k), f) for k, f in record.judged[label]["by size"].items())
            colour, marker = styles[record.label]
            drawn[record.label] = panel.errorbar(
                [size for size, _ in by_size],
                [100 * f["mean"] for _, f in by_size],
                [200 * (f["error"] or 0) for _, f in by_size],
                color=colour,
                marker=marker,
                markersize=5,
                capsize=2,
            )
        panel.set_title(short_name(name), fontsize=10)
        panel.set_xlabel("given modalities", fontsize=9)
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.set_ylim(0, 100)
        panel.grid(axis="y", color="#DDDDDD", linewidth=0.6)
        panel.tick_params(labelsize=8)
    axes[0].set_ylabel(f"coherence by {label}, percent", fontsize=9)
    figure.legend(
        [drawn[name] for name in labels],
        [short_name(name, MOST_OF_A_LABEL) for name in labels],
        loc="outside lower center",
        ncols=2,
        fontsize=8,
    )
    return png(figure)
