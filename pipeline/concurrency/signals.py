"""Ctrl-C, SIGTERM and SIGHUP: the first asks for an orderly end, the second ends the process at once."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from types import TracebackType

from .threads import ThreadGroup

_SIGNALS = tuple(signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__)
_SHOW_CURSOR = "\x1b[?25h"

_active: list[Interrupt] = []
"""Those that are entered, the innermost last; only the main thread changes it."""


class Interrupt:
    """While entered, the first signal calls `stop()` and the second ends the process; main thread only.

    Without `stop` there is nothing to end in order, and the first signal ends the process at once. Inside another, as
    inside the one that stands around the whole program, it has the signals until it is left.

    A thread of its own hears of them, because the main thread may be busy outside Python for long; no signal ever
    becomes an exception. A SIGHUP that was to be ignored, as under nohup, still is.
    """

    def __init__(
        self, stop: Callable[[], None] | None = None, code: Callable[[int], int] = lambda number: 128 + number
    ) -> None:
        """Take what asks for the end, and the exit code of a process that a signal ends at once."""
        self.number = 0
        """The first signal that came; 0 if none did."""
        self._stop = stop
        self._code = code
        self._threads = ThreadGroup(lambda: None)

    def __enter__(self) -> Interrupt:
        _active.append(self)
        if len(_active) == 1:
            self._hears, self._speaks = socket.socketpair()
            self._speaks.setblocking(False)
            self._before = {number: signal.signal(number, _noted) for number in _SIGNALS if not _is_ignored(number)}
            self._wakeup = signal.set_wakeup_fd(self._speaks.fileno(), warn_on_full_buffer=False)
            self._threads.start("signals", self._listen)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _active.remove(self)
        if _active:
            return
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._speaks.close()
        self._threads.join(1.0)
        self._hears.close()

    def _listen(self) -> None:
        while numbers := self._hears.recv(16):
            for number in numbers:
                if number in _SIGNALS and (heard := [*_active]):
                    heard[-1].hear(number)

    def hear(self, number: int) -> None:
        """Take a signal, from the thread that hears of them."""
        if self.number or self._stop is None:
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
            os._exit(128 + number if self.number else self._code(number))
        self.number = number
        self._stop()


def _noted(number: int, frame: object) -> None:
    """Do nothing: that a signal came is told by the descriptor that wakes the listening thread."""


def _is_ignored(number: int) -> bool:
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN
