"""Cells of a CSV file: records split into cells as they are written, quotes and all."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from mmvae.column_type import NULL_WORDS
from mmvae.errors import DataError


def records(lines: Iterator[str], separator: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Cut lines into records of cells, each with the number of its first line.

    Args:
        lines: Lines with their ends.
        separator: What stands between cells.
        where: The file, for messages.

    Raises:
        DataError: A quote is not closed, or something follows one that is.
    """
    closed = re.compile(rf'("[^"]*(?:""[^"]*)*"|[^"{separator}][^{separator}]*|){separator}')
    number = 0
    for line in lines:
        number += 1
        first = number
        if '"' not in line:
            yield first, line.rstrip("\r\n").split(separator)
            continue
        body = line.rstrip("\r\n") + separator
        quick: list[str] = closed.findall(body)
        if sum(map(len, quick)) + len(quick) == len(body):  # nothing between them: all is told
            yield first, quick
            continue
        cells: list[str] = []
        at = 0
        while True:
            end = at
            if line.startswith('"', at):
                end = closing(line, at + 1)
                while end < 0:
                    more = next(lines, None)
                    if more is None:
                        raise DataError(
                            f"{where}, line {first}: the quote of cell {len(cells) + 1} is never "
                            f"closed. Close it, or double a quote that is part of a text."
                        )
                    number, resumed, line = number + 1, len(line), line + more
                    end = closing(line, resumed)
                end += 1
                if not line.startswith(separator, end) and line[end:].strip("\r\n"):
                    raise DataError(
                        f"{where}, line {first}: {line[end : end + 10]!r} follows the closed "
                        f"quote of cell {len(cells) + 1}, expected {separator!r} or the end of "
                        f"the line. Double a quote that is part of a text."
                    )
            after = line.find(separator, end)
            if after < 0:
                cells.append(line[at:].rstrip("\r\n") if end == at else line[at:end])
                break
            cells.append(line[at:after])
            at = after + len(separator)
        yield first, cells


def closing(line: str, at: int) -> int:
    """Where the quote is that closes a cell, at or after a place; −1 if it is not there."""
    while (at := line.find('"', at)) >= 0:
        if not line.startswith('""', at):
            return at
        at += 2
    return -1


def text_of(cell: str, words: Collection[str] = ()) -> str | None:
    """The text of a cell; None where it is empty, or a null word without quotes.

    Args:
        cell: As it is written.
        words: Null words that are values here.
    """
    if cell[:1] == '"':
        return cell[1:-1].replace('""', '"') or None
    return None if not cell or (cell in NULL_WORDS and cell not in words) else cell


def cell_of(text: str, separator: str) -> str:
    """The cell that is read as a text, which is not empty."""
    special = text in NULL_WORDS or any(c in text for c in ('"', "\n", "\r", separator))
    return '"' + text.replace('"', '""') + '"' if special else text


def other_separator(header: Sequence[str]) -> str:
    """A sentence on a header of one cell in which other signs seem to separate; else nothing."""
    found = [sign for sign in (";", "\t", "|") if len(header) == 1 and sign in header[0]]
    if not found:
        return ""
    return (
        f" The file seems to be separated by {found[0]!r}; expected commas, or tabs in .tsv "
        f"files: save it so."
    )
