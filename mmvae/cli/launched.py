"""The end of a process that torchrun started."""

from __future__ import annotations

import os
import sys

from mmvae.foundations.launch import joined


def end_launched(code: int) -> None:
    """End this process with ``code`` at once if it is one of several; else do nothing.

    Everything is saved by then. The threads of torch's process groups sometimes abort a process
    that ends normally ("terminate called without an active exception"), and torchrun would report
    a successful training as failed.
    """
    if joined().size > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
