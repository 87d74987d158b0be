"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from types import TracebackType

from .threads import ThreadGroup

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHOW_CURSOR = "\x1b[?25h"


class Interrupt:
    """While entered, the first signal calls `stop()` and the second ends the process; main thread only.

    A thread of its own hears of them, because the main thread may be busy outside Python for long.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.number = 0
        """The first signal that came; 0 if none did."""
        self._stop = stop
        self._threads = ThreadGroup(lambda: None)

    def __enter__(self) -> Interrupt:
        self._hears, self._speaks = socket.socketpair()
        self._speaks.setblocking(False)
        self._before = {number: signal.signal(number, lambda number, frame: None) for number in _SIGNALS}
        self._wakeup = signal.set_wakeup_fd(self._speaks.fileno(), warn_on_full_buffer=False)
        self._threads.start("signals", self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._speaks.close()
        self._threads.join(1.0)
        self._hears.close()

    def _listen(self) -> None:
        while numbers := self._hears.recv(16):
            for number in numbers:
                if number not in _SIGNALS:
                    continue
                if self.number:
                    if sys.stderr.isatty():
                        os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
                    os._exit(128 + number)
                self.number = number
                self._stop()
