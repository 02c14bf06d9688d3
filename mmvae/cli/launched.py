"""How a process that torchrun started ends."""

from __future__ import annotations

import os
import sys


def end_launched(code: int) -> None:
    """End this process with ``code`` at once if it is one of several; else do nothing.

    All is saved by then. The threads of torch's process groups sometimes abort a process that
    ends in the usual way ("terminate called without an active exception"), and torchrun would
    report a training that succeeded as failed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
