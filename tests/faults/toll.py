"""What the machine took from a process: how long its threads stood in line for a processor though they had work."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from contextlib import suppress

_EVERY_S = 0.2


class Toll:
    """Watches one process until it ends; the system counts the waiting of each of its threads."""

    def __init__(self, process: int) -> None:
        self._tasks = f"/proc/{process}/task"
        self._waited: dict[str, int] = {}
        self._times: list[float] = []
        self._totals: list[float] = []
        self._closed = False
        threading.Thread(target=self._observe, name="toll", daemon=True).start()

    def denied(self, begin: float, end: float) -> float:
        """Most seconds by which anything that the process did between two times, since 1970, was late for that.

        The threads' waiting is added up, because one may wait for another. All is 0 where every thread found a
        processor at once, and where the system does not count.
        """
        times, totals = self._times[:], self._totals[:]
        if len(times) < 2 or end <= begin:
            return 0.0
        first = max(0, bisect_right(times, begin) - 1)
        last = min(len(times) - 1, bisect_left(times, end))
        return max(0.0, totals[last] - totals[first]) if last > first else 0.0

    def close(self) -> None:
        """Watch no longer."""
        self._closed = True

    def _observe(self) -> None:
        # The total of a process that has gone is empty.
        while not self._closed and (waited := self._read()):
            self._waited |= waited
            self._totals.append(sum(self._waited.values()) / 1e9)
            self._times.append(time.time())
            time.sleep(_EVERY_S)

    def _read(self) -> dict[str, int]:
        found = {}
        with suppress(OSError):
            for task in os.listdir(self._tasks):
                with suppress(OSError, IndexError), open(f"{self._tasks}/{task}/schedstat") as file:
                    found[task] = int(file.read().split()[1])
        return found
