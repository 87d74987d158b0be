"""The word that all of a clip is there."""

from __future__ import annotations

import threading
from collections.abc import Callable


class ClipArrival:
    """Given once, by whoever writes what a clip is made of; safe from any thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        """Set from then on."""
        self._lock = threading.Lock()
        self._heard: list[Callable[[], None]] = []

    def then(self, call: Callable[[], None]) -> None:
        """Call this once it is given, from the giver's thread; at once where it is already."""
        with self._lock:
            if not self.event.is_set():
                self._heard.append(call)
                return
        call()

    def give(self) -> None:
        """Give the word; harmless when repeated."""
        with self._lock:
            self.event.set()
            heard, self._heard = self._heard, []
        for call in heard:
            call()
