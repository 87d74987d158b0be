"""What is counted of one output, and what is to be told of its parts."""

from __future__ import annotations

import threading


class OutputStats:
    """Counters of one output; safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._shown = self._skipped = 0
        self._states: dict[str, str] = {}

    def tell(self, part: str, state: str) -> None:
        """How a part of it, such as one stream, is doing; nothing where all is well."""
        with self._lock:
            self._states.pop(part, None)
            if state:
                self._states[part] = state

    @property
    def states(self) -> dict[str, str]:
        """What is to be told of its parts."""
        with self._lock:
            return dict(self._states)

    def shown(self) -> None:
        """A view went somewhere: to the screen, a viewer or a file."""
        with self._lock:
            self._shown += 1

    def skipped(self) -> None:
        """A view gave way to a newer one, or came too late to be shown."""
        with self._lock:
            self._skipped += 1

    def summary(self) -> dict[str, object]:
        """The stable keys of the summary file; `states` only where there is something to tell."""
        with self._lock:
            states = {"states": dict(self._states)} if self._states else {}
            return {"shown": self._shown, "skipped": self._skipped, **states}
