"""The end of the process by a signal while nothing is to be saved; this module imports little."""

from __future__ import annotations

import os
import select
import signal
import sys
from types import FrameType
from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
"""The signals that end a command; a system without SIGHUP has two."""


def end_at_once(number: int, frame: FrameType | None = None) -> NoReturn:
    """End the process without cleaning up, with the line and the exit code that a signal has."""
    if number == signal.SIGINT:
        line, code = "error: interrupted.", 130
    else:
        line, code = f"stopped by {signal.Signals(number).name}.", 75
    try:
        if select.select([], [2], [], 0)[1]:  # a stalled reader is not waited for
            os.write(2, f"{line}\n".encode())
    finally:
        os._exit(code)


def loads_torch() -> bool:
    """True while torch is imported; an exception in its C++ code would abort the process."""
    spec = getattr(sys.modules.get("torch"), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))
