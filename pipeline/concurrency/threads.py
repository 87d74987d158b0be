"""The only place that makes threads: named, watched, and joined under one deadline."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from pipeline.clock import PROCESS

_JOIN_CHECK_S = 0.1

_lock = threading.Lock()
_started: weakref.WeakSet[threading.Thread] = weakref.WeakSet()
_pulse: threading.Thread | None = None


def alive() -> list[str]:
    """Return the names of all threads that any group has started and that still run."""
    with _lock:
        return sorted(thread.name for thread in _started if thread.is_alive())


def _keep_pulse() -> None:
    """See that somebody looks at the clock while any thread runs, so that it can tell a pause of the process."""
    global _pulse
    with _lock:
        if _pulse is None:
            _pulse = threading.Thread(target=PROCESS.pulse, args=(_alone,), name="pulse", daemon=True)
            _pulse.start()


def _alone(seconds: float) -> bool:
    """Wait, and tell whether no thread needs the pulse any more, which ends it."""
    global _pulse
    threading.Event().wait(seconds)
    with _lock:
        if any(thread.is_alive() for thread in _started):
            return False
        _pulse = None
        return True


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
        _keep_pulse()

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
        ends = PROCESS.monotonic() + seconds
        with self._lock:
            threads = [thread for thread in self._threads if thread is not threading.current_thread()]
        for thread in threads:
            while thread.is_alive() and (left := ends - PROCESS.monotonic()) > 0:
                thread.join(min(left, _JOIN_CHECK_S))
        return [thread.name for thread in threads if thread.is_alive()]
