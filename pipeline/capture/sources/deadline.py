"""How long a blocked call into FFmpeg may still take: until a deadline, or until the program stops.

PyAV cannot be cancelled from another thread, and applies its own limits to each step anew. But while
FFmpeg waits it asks PyAV ten times a second, on the waiting thread, whether the limit has passed, and
PyAV then looks at its clock. `DeadlineClock` is put there: it leaps past every limit once a thread's
patience has ended.
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

from pipeline.concurrency.threads import ThreadGroup
from pipeline.errors import SourceError

_LEAP = 1e7

_mine = threading.local()


class DeadlineClock:
    """The module `time` as PyAV sees it."""

    def __init__(self) -> None:
        self._leaps = count(1)

    def monotonic(self) -> float:
        """Real monotonic seconds, or far later ones where the calling thread shall wait no longer."""
        now = time.monotonic()
        current: Patience | None = getattr(_mine, "patience", None)
        return now if current is None or not current.ended else now + _LEAP * next(self._leaps)

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


class Patience:
    """The patience of one source."""

    def __init__(self, stopping: threading.Event | None = None) -> None:
        self.stopping = stopping or threading.Event()
        self._deadline = 0.0

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Calls into FFmpeg by this thread end at `deadline`, in seconds of time.monotonic."""
        self._deadline = deadline
        _mine.patience = self
        try:
            yield
        finally:
            _mine.patience = None

    @property
    def left(self) -> float:
        """Seconds until the deadline; 0 when it has passed or the program stops."""
        return 0.0 if self.stopping.is_set() else max(0.0, self._deadline - time.monotonic())

    @property
    def ended(self) -> bool:
        """Whether to wait no longer."""
        return self.left <= 0


def resolve(host: str, patience: Patience) -> None:
    """Look a host's name up within the patience, for the look-up itself knows no limit; SourceError where it fails."""
    found: list[bool] = []
    done = threading.Event()

    def look_up() -> None:
        try:
            found.append(bool(socket.getaddrinfo(host, None)))
        except OSError:
            found.append(False)
        done.set()

    try:
        ipaddress.ip_address(host)
    except ValueError:
        ThreadGroup(lambda: None).start(f"resolve-{host}", look_up)
        while not patience.ended and not done.wait(min(0.05, patience.left)):
            pass
        if not done.is_set():
            raise SourceError(f"the name {host} could not be looked up in time", "timed out") from None
        if not found[0]:
            raise SourceError(f"no machine is called {host}", "not found") from None
