"""Arguments and options that several commands share, and their output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from mmvae.foundations.launch import joined
from mmvae.foundations.printable import printable

F = TypeVar("F", bound=Callable[..., Any])

HELP = {"help_option_names": ["-h", "--help"]}
"""Context settings of the command group; sub-commands inherit them."""


@dataclass
class Verbosity:
    """Global settings of the command line; the object of the root context."""

    quiet: bool = False


def verbosity() -> Verbosity:
    """The verbosity of the running command; the default outside the command line."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Verbosity) if context else None
    return found or Verbosity()


def leading() -> bool:
    """True if this is the one process, of those that torchrun started, that prints."""
    return joined().rank == 0


def say(message: str) -> None:
    """Print a remark, not a result, on standard error, unless ``--quiet`` was given."""
    if not verbosity().quiet:
        echo(message, err=True)


def echo(message: object, err: bool = False) -> None:
    """Print a line with control characters escaped."""
    click.echo(printable(str(message)), err=err)


def print_json(value: Any) -> None:
    """Print a result as JSON on standard output; escaped if its encoding is not UTF-8."""
    plain = (sys.stdout.encoding or "ascii").lower().replace("-", "") == "utf8"
    echo(json.dumps(value, indent=2, ensure_ascii=not plain))


def example(*lines: str) -> str:
    """The epilog of a command's help that shows these command lines unchanged."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def config_argument(command: F) -> F:
    """Add ``CONFIG``, passed as ``config``: a path or ``-``."""
    return click.argument("config", metavar="CONFIG", type=click.Path(allow_dash=True))(command)


def set_option(command: F) -> F:
    """Add ``-s/--set``, passed as ``overrides``: a tuple of texts ``key=value``."""
    return click.option(
        "-s",
        "--set",
        "overrides",
        multiple=True,
        metavar="KEY=VALUE",
        help="Override a key, the value read as TOML: -s train.epochs=5. May be repeated.",
    )(command)


def json_option(command: F) -> F:
    """Add ``--json``, passed as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        command
    )


def columns(rows: Sequence[tuple[str, ...]], space: str = "  ") -> str:
    """Lay out rows as aligned columns."""
    if not rows:
        return ""
    rows = [tuple(printable(cell, one_line=True) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        space.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
