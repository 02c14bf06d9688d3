"""Formats of the statistics of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Figure = Mapping[str, float | None]

STANDARDISED = (
    "In parentheses: the value for the standardised data that the networks see, as published."
)


def spread(figure: Figure) -> str:
    """Mean ± standard error, the error with two digits."""
    mean, error = figure["mean"], figure["error"]
    assert mean is not None
    if not error:
        return f"{mean:.4g}" + ("" if error is None else " ± 0") + counted(figure)
    digits = min(max(0, 1 - math.floor(math.log10(error))), 6)
    return f"{mean:.{digits}f} ± {error:.{digits}f}{counted(figure)}"


def nats(figure: Mapping[str, Any]) -> str:
    """Log-likelihood in the user's units, and in parentheses that of standardised values."""
    beside = figure.get("standardised")
    return spread(figure) + (f" ({spread(beside)})" if beside else "")


def counted(figure: Figure) -> str:
    """The number of items of a statistic, if some items lack a modality."""
    return f" ({figure['items']:,} items)" if "items" in figure else ""


def hundredfold(figure: Figure) -> Figure:
    """A share in percent."""
    return {name: None if value is None else 100 * value for name, value in figure.items()}


def percent(figure: Figure) -> str:
    """A share of items in percent, with its standard error."""
    mean, error = figure["mean"], figure["error"]
    assert mean is not None
    shown = f"{100 * mean:.1f} %" + ("" if error is None else f" ± {100 * error:.1f}")
    return shown + counted(figure)
