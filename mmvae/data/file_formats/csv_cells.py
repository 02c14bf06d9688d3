"""Cells of a CSV file: records divided into cells as they are written, including quotes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from mmvae.data.size_bounds import Bounds
from mmvae.foundations.errors import DataError
from mmvae.modalities.column_type import NULL_WORDS


def records(
    lines: Iterator[str], separator: str, where: str, bounds: Bounds
) -> Iterator[tuple[int, int, list[str]]]:
    """Cut lines into records of cells, each with the number of its first line and its length.

    Args:
        lines: Lines with their ends.
        separator: The separator of cells.
        where: The file, for messages.
        bounds: How long a record may be.

    Raises:
        DataError: A quote is not closed, something follows one that is, or a record is too long.
    """
    closed = re.compile(rf'("[^"]*+(?:""[^"]*+)*+"|[^"{separator}][^{separator}]*|){separator}')
    number = 0
    for line in lines:
        number += 1
        first, size = number, len(line)
        if '"' not in line:
            yield first, size, line.rstrip("\r\n").split(separator)
            continue
        body = line.rstrip("\r\n") + separator
        quick: list[str] = closed.findall(body)
        if sum(map(len, quick)) + len(quick) == len(body):  # nothing between them: complete
            yield first, size, quick
            continue
        cells: list[str] = []
        at = 0
        while True:
            end = at
            begun: list[str] = []  # of this cell, on lines before
            if line.startswith('"', at):
                end = closing(line, at + 1)
                while end < 0:
                    begun.append(line[at:])
                    more = next(lines, None)
                    if more is None:
                        raise DataError(
                            f"{where}, line {first}: the quote of cell {len(cells) + 1} is never "
                            f"closed. Close it, or double a quote that is part of a text."
                        )
                    number, size, line, at = number + 1, size + len(more), more, 0
                    advice = f"Perhaps the quote of cell {len(cells) + 1} is not closed. "
                    bounds.check_cell(size, f"{where}, line {first}", advice)
                    end = closing(line, 0)
                end += 1
                if not line.startswith(separator, end) and line[end:].strip("\r\n"):
                    raise DataError(
                        f"{where}, line {first}: {line[end : end + 10]!r} follows the closed "
                        f"quote of cell {len(cells) + 1}, expected {separator!r} or the end of "
                        f"the line. Double a quote that is part of a text."
                    )
            after = line.find(separator, end)
            if after < 0:
                rest = line[at:].rstrip("\r\n") if end == at else line[at:end]
                cells.append("".join([*begun, rest]))
                break
            cells.append("".join([*begun, line[at:after]]))
            at = after + len(separator)
        yield first, size, cells


def closing(line: str, at: int) -> int:
    """The position of the quote that closes a cell, from ``at`` on; −1 if there is none."""
    while (at := line.find('"', at)) >= 0:
        if not line.startswith('""', at):
            return at
        at += 2
    return -1


def text_of(cell: str, words: Collection[str] = ()) -> str | None:
    """The text of a cell; None if it is empty, or a null word without quotes.

    Args:
        cell: As it is written.
        words: Null words that are values here.
    """
    if cell[:1] == '"':
        return cell[1:-1].replace('""', '"') or None
    return None if not cell or (cell in NULL_WORDS and cell not in words) else cell


def cell_of(text: str, separator: str) -> str:
    """Write a non-empty text as the cell that is read back as this text."""
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
