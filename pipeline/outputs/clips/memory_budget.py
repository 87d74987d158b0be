"""A byte budget that several holders share."""

from __future__ import annotations

import threading
from types import TracebackType

CROWDED = "others take all the memory there is for clips; try again in a few seconds"


class Budget:
    """A shared byte budget; safe from any thread."""

    def __init__(self, most: int) -> None:
        self.left = most
        """Bytes that nobody holds."""
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Hold so many bytes more; False, and nothing is held, where not so many are left."""
        with self._lock:
            if count > self.left:
                return False
            self.left -= count
            return True

    def give(self, count: int) -> None:
        """Hold so many less."""
        with self._lock:
            self.left += count


class Share:
    """The bytes of one holder; a context manager that gives them back."""

    def __init__(self, budget: Budget) -> None:
        self.held = 0
        """Bytes."""
        self._budget = budget
        self._ended = False
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Hold so many bytes more; False where the others leave too few."""
        with self._lock:
            if self._ended or not self._budget.take(count):
                return False
            self.held += count
            return True

    def grow(self, total: int) -> bool:
        """Hold at least so many bytes; False where the others leave too few."""
        return total <= self.held or self.take(total - self.held)

    def __enter__(self) -> Share:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended = True
            self._budget.give(self.held)
            self.held = 0
