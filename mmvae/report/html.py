"""The report as one self-contained page: no scripts, no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

from mmvae.foundations.printable import printable
from mmvae.report.canvas import Picture
from mmvae.report.tables import Table

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { margin-bottom: 0; } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc; }
table { border-collapse: collapse; margin: .5rem 0; }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; border-bottom: 1px solid #e2e2e2; }
td { font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; } figure img { max-width: 100%; }
figcaption, .note { color: #555; font-size: .9rem; max-width: 48rem; }
pre { background: #f5f5f5; padding: .8rem; overflow-x: auto; font-size: .85rem; }
dt { font-weight: 600; float: left; clear: left; width: 11rem; } dd { margin: 0 0 .2rem 11rem; }
"""


def page(
    title: str,
    summary: Sequence[tuple[str, str]],
    tables: Iterable[Table],
    pictures: Iterable[Picture],
    commands: str,
    config: str,
    notes: Iterable[str] = (),
) -> str:
    """The whole page.

    Args:
        title: Heading.
        summary: Terms and their values.
        tables: Tables of the evaluation.
        pictures: Figures; they become part of the page.
        commands: Commands that reproduce all of it.
        config: The configuration, as TOML.
        notes: Remarks below the tables.
    """
    terms = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>\n" for k, v in summary)
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<dl>{terms}</dl>",
        "<h2>Evaluation</h2>",
        *map(table_html, tables),
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
        "<h2>Pictures</h2>",
        *map(picture_html, pictures),
        "<h2>Commands to reproduce it</h2>",
        f"<pre>{escape(commands)}</pre>",
        "<h2>Configuration</h2>",
        f"<pre>{escape(config)}</pre>",
    ]
    body = "\n".join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def escape(text: str) -> str:
    """Escape a text for a page: it can neither be markup nor change the direction of text."""
    return html.escape(printable(text))


def table_html(table: Table) -> str:
    """A table with its title and note."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    return (
        f"<h3>{escape(table.title)}</h3>\n<table>\n<thead><tr>{head}</tr></thead>\n"
        f'<tbody>\n{rows}\n</tbody>\n</table>\n<p class="note">{escape(table.note)}</p>'
    )


def picture_html(picture: Picture) -> str:
    """A figure with its title and caption."""
    data = base64.b64encode(picture.png).decode()
    return (
        f"<h3>{escape(picture.title)}</h3>\n<figure>\n"
        f'<img alt="{escape(picture.title)}" src="data:image/png;base64,{data}">\n'
        f"<figcaption>{escape(picture.caption)}</figcaption>\n</figure>"
    )
