"""Formats of the statistics of a report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Figure = Mapping[str, float | None]

STANDARDISED = (
    "In parentheses: the value for the standardised data that the networks see, as published."
)


def spread(statistic: Figure) -> str:
    """Mean ± standard error, the error with two digits."""
    mean, error = statistic["mean"], statistic["error"]
    assert mean is not None
    if not error:
        return f"{mean:.4g}" + ("" if error is None else " ± 0") + counted(statistic)
    digits = min(max(0, 1 - math.floor(math.log10(error))), 6)
    return f"{mean:.{digits}f} ± {error:.{digits}f}{counted(statistic)}"


def nats(statistic: Mapping[str, Any]) -> str:
    """Log-likelihood in the user's units, and in parentheses that of standardised values."""
    standardised = statistic.get("standardised")
    return spread(statistic) + (f" ({spread(standardised)})" if standardised else "")


def counted(statistic: Figure) -> str:
    """The number of items of a statistic, if some items lack a modality."""
    return f" ({statistic['items']:,} items)" if "items" in statistic else ""


def hundredfold(statistic: Figure) -> Figure:
    """A share in percent."""
    return {name: None if value is None else 100 * value for name, value in statistic.items()}


def percent(statistic: Figure) -> str:
    """A share of items in percent, with its standard error."""
    mean, error = statistic["mean"], statistic["error"]
    assert mean is not None
    shown = f"{100 * mean:.1f} %" + ("" if error is None else f" ± {100 * error:.1f}")
    return shown + counted(statistic)
