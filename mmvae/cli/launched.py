"""How a process that torchrun started ends."""

from __future__ import annotations

import os
import sys

from mmvae.foundations.launch import joined


def end_launched(code: int) -> None:
    """End this process with ``code`` at once if it is one of several; else do nothing.

    All is saved by then. The threads of torch's process groups sometimes abort a process that
    ends in the usual way ("terminate called without an active exception"), and torchrun would
    report a training that succeeded as failed.
    """
    if joined().size > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
