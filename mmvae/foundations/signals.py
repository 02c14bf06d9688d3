"""Signals: a training handles them between two steps; any other work ends at once and cleanly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, NoReturn

from mmvae.foundations.errors import Terminated
from mmvae.foundations.sudden_end import end_at_once, loads_torch

EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}

HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)
"""The signal of a terminal that closes; None on systems without it."""

_asked: set[int] = set()  # signals that asked this process to end

Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None


class StopRequests:
    """Within its ``with`` block, the first SIGINT or SIGTERM is recorded, not obeyed at once.

    A second SIGINT ends the process at once; a hangup has no effect. Outside the main thread,
    where Python allows no handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._handlers = handling(dict.fromkeys(EXIT_CODES, self._receive) | on_hangup(pass_over))

    def __enter__(self) -> StopRequests:
        self._handlers.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._handlers.__exit__(kind, error, trace)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        _asked.add(number)
        received = signal.Signals(number)
        if self.received is not None and received is signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or received


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` in the block at the first SIGTERM or hangup; later ones are ignored.

    A hangup that is ignored already, as under nohup, stays ignored.
    """
    asked: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if not asked:
            asked.append(number)
            interrupt(number, frame)

    with handling({signal.SIGTERM: stop} | on_hangup(stop)):
        yield


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Raise the error of a signal: KeyboardInterrupt for SIGINT, else `Terminated`."""
    _asked.add(number)
    if loads_torch():
        end_at_once(number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(f"stopped by {signal.Signals(number).name}.")


def asked_to_end() -> bool:
    """True if a signal asked the process of a command to end."""
    return bool(_asked)


@contextmanager
def outliving_hangups() -> Iterator[None]:
    """Ignore hangups in the block, so that a training survives its terminal."""
    with handling(on_hangup(pass_over)):
        yield


@contextmanager
def handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    """Install handlers in the block, then restore the former ones; only in the main thread."""
    before: dict[signal.Signals, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def on_hangup(handler: Handler) -> dict[signal.Signals, Handler]:
    """A handler of the hangup, if the system has that signal and it is not ignored."""
    if HANGUP is None or signal.getsignal(HANGUP) is signal.SIG_IGN:
        return {}
    return {HANGUP: handler}


def pass_over(number: int, frame: FrameType | None) -> None:
    """Ignore a signal; unlike with SIG_IGN, started programs keep their own handlers."""
