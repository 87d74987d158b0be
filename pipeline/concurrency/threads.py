"""The only place that makes threads: named, watched, and joined under one deadline."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable

_lock = threading.Lock()
_started: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def alive() -> list[str]:
    """Return the names of all threads that any group has started and that still run."""
    with _lock:
        return sorted(thread.name for thread in _started if thread.is_alive())


class ThreadGroup:
    """A set of threads that stop together; the first error wins.

    `stopping` is set as soon as anybody wants the end; `stop_first` is then called once, so that
    the owner can close what the threads wait on.
    """

    def __init__(self, stop_first: Callable[[], None]) -> None:
        self.stopping = threading.Event()
        self.error: BaseException | None = None
        self._stop_first = stop_first
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []

    def start(self, name: str, body: Callable[[], None]) -> None:
        """Run `body` in a thread of that name; an exception in it stops the whole group."""

        def guarded() -> None:
            try:
                body()
            except BaseException as error:
                self.stop(error)

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        with self._lock:
            self._threads.append(thread)
        with _lock:
            _started.add(thread)
        thread.start()

    def stop(self, error: BaseException | None = None) -> None:
        """Ask every thread to end, because of `error` if given; safe from any thread, any number of times."""
        with self._lock:
            first = not self.stopping.is_set()
            if self.error is None:
                self.error = error
            self.stopping.set()
        if first:
            self._stop_first()

    def working(self) -> list[str]:
        """Return the names of the threads that still run."""
        with self._lock:
            return [thread.name for thread in self._threads if thread.is_alive()]

    def join(self, seconds: float) -> list[str]:
        """Wait for all threads, `seconds` in all; the names of those that would not end."""
        ends = time.monotonic() + seconds
        with self._lock:
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        return [thread.name for thread in threads if thread.is_alive()]
