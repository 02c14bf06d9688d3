"""The process of the command ``mmvae``: its start and its end, in which a signal ends it at once.

Importing the command line takes a while, and so does the end of a Python process. Nothing is to be
saved then. So this module imports little, and its handlers end the process without cleaning up.
"""

from __future__ import annotations

import atexit
import os
import signal
from typing import TYPE_CHECKING, NoReturn

from mmvae.foundations.sudden_end import STOPPING, end_at_once

if TYPE_CHECKING:
    from mmvae.foundations.signals import Handler


def main() -> NoReturn:
    """Run the command line of this process, and end the process with its exit code."""
    handle(end_at_once)
    from mmvae.cli.main import main as command_line
    from mmvae.foundations.signals import interrupt

    handle(interrupt)
    try:
        command_line()
    except KeyboardInterrupt:  # before or after the command's own work
        end_at_once(signal.SIGINT)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        handle(lambda *_: os._exit(code))  # all is written: the signal changes nothing
        atexit.register(handle, signal.SIG_IGN)  # Python resets other handlers when it ends
        raise


def handle(handler: Handler) -> None:
    """Set the handler of each signal that ends a command, unless it is ignored."""
    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
