"""The end of a blocked call into FFmpeg: at a deadline, or when the program stops.

PyAV cannot be cancelled from another thread, and applies its own limits to each step anew. But while
FFmpeg waits it asks PyAV ten times a second, on the waiting thread, whether the limit has passed, and
PyAV then looks at its clock. `DeadlineClock` is put there: it leaps past every limit once a thread's
deadline has passed.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from pipeline.clock import PROCESS
from pipeline.concurrency.threads import ThreadGroup
from pipeline.errors import SourceError

_LEAP_S = 1e7

_mine = threading.local()


class DeadlineClock:
    """The module `time` as PyAV sees it."""

    def __init__(self) -> None:
        self._leaps = count(1)

    def monotonic(self) -> float:
        """Return the seconds that the process ran, or far later ones where the calling thread shall wait no longer."""
        now = PROCESS.monotonic()
        current: Deadline | None = getattr(_mine, "deadline", None)
        return now if current is None or not current.passed else now + _LEAP_S * next(self._leaps)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class Deadline:
    """The end of one source's waiting, set anew for each call into FFmpeg."""

    def __init__(self, stopping: threading.Event | None = None) -> None:
        self.stopping = stopping or threading.Event()
        self._ends = 0.0

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """End calls into FFmpeg by this thread at `deadline`, in seconds of PROCESS."""
        self._ends = deadline
        _mine.deadline = self
        try:
            yield
        finally:
            _mine.deadline = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; 0 when it has passed or the program stops."""
        return 0.0 if self.stopping.is_set() else max(0.0, self._ends - PROCESS.monotonic())

    @property
    def passed(self) -> bool:
        """Whether to wait no longer."""
        return self.left <= 0


def resolve(host: str, deadline: Deadline) -> None:
    """Look a host's name up within the deadline, for the look-up itself knows no limit; SourceError where it fails."""
    known: list[bool] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            known.append(bool(socket.getaddrinfo(host, None)))
        except OSError:
            known.append(False)
        done.set()

    try:
        ipaddress.ip_address(host)
    except ValueError:
        ThreadGroup(lambda: None).start(f"resolve-{host}", look_up)
        while not deadline.passed and not done.wait(min(0.05, deadline.left)):
            pass
        if not done.is_set():
            raise SourceError(f"the name {host} could not be looked up in time", "timed out") from None
        if not known[0]:
            raise SourceError(f"no machine is called {host}", "not found") from None
