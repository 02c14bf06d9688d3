"""Durations as people write them: ``1h30m``, ``90s``, ``45m``."""

from __future__ import annotations

import re
from typing import Any

import click

_PATTERN = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")


class Duration(click.ParamType[float]):
    """An option's duration; a number alone counts seconds. Passed on in seconds, as a float."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse ``1h30m``; refuse anything else, including an empty text."""
        if isinstance(value, (int, float)):
            return float(value)
        text = str(value).replace(" ", "")
        match = _PATTERN.fullmatch(text)
        parts = [float(part or 0) for part in match.groups()] if match else []
        seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
        if not seconds > 0:
            self.fail(f"{value!r} is no duration; expected such as 1h30m, 45m or 90s.", param, ctx)
        return seconds
