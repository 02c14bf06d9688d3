"""Stop requests: SIGINT and SIGTERM asked of a training, answered between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

EXIT_CODES = {signal.SIGTERM: 75, signal.SIGINT: 130}


class StopRequests:
    """Within its ``with`` block, the first SIGINT or SIGTERM is remembered, not obeyed at once.

    A second SIGINT ends the process at once. Outside the main thread, where Python allows no
    handlers, it does nothing.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._previous: dict[signal.Signals, object] = {}

    def __enter__(self) -> StopRequests:
        if threading.current_thread() is threading.main_thread():
            for number in EXIT_CODES:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() returned

    def _receive(self, number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if self.received is not None and received is signal.SIGINT:
            raise KeyboardInterrupt
        self.received = self.received or received
