"""JSON documents of files that others may have written: bounded in memory, strict where asked."""

from __future__ import annotations

import json
import math
from typing import Any

from pydantic import ValidationError

from mmvae.foundations.errors import LONG, shortened
from mmvae.foundations.toml import dotted

MOST_PARTS = 1 << 20
"""Maximum number of lists and objects in a document; each takes up to 40 times its bytes."""


def parse_json(data: bytes, most_parts: int = MOST_PARTS) -> Any:
    """Parse JSON as Python does, if its lists and objects are few enough.

    Args:
        data: The document, in UTF-8.
        most_parts: Maximum number of opening brackets, also of those in texts.

    Raises:
        ValueError: It has more, or is no JSON.
        RecursionError: It is nested too deeply.
    """
    check_parts(data, most_parts)
    return json.loads(data)


def strict_json(data: bytes) -> Any:
    """Parse JSON by the standard; ValueError also at NaN, infinity and lone surrogates."""

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is no finite number")
        return number

    check_parts(data)
    document = json.loads(data, parse_constant=finite, parse_float=finite)
    if b"\\u" in data:  # an escape may stand for a lone surrogate, which no file can hold
        json.dumps(document, ensure_ascii=False).encode()
    return document


def check_parts(data: bytes, most: int = MOST_PARTS) -> None:
    """Check that a document has at most ``most`` lists and objects.

    Raises:
        ValueError: It has more.
    """
    parts = data.count(b"[") + data.count(b"{")
    if parts > most:
        raise ValueError(f"it has {parts:,} lists and objects, expected {most:,} at most")


def problem_of(error: Exception) -> str:
    """The message of an error about a document, on one line and not too long.

    Of pydantic's findings this is the first, with its key.
    """
    if not isinstance(error, ValidationError):
        return shortened(str(getattr(error, "strerror", None) or error), LONG)
    first = error.errors(include_url=False, include_input=False)[0]
    return shortened(f"{dotted(first['loc']) or 'the whole'}: {first['msg']}", LONG)
