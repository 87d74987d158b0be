"""Counters of a whole run: of each camera, each output and each stage."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from pipeline.clock import Clock, SystemClock
from pipeline.redaction import one_line

from .camera import CameraFigures, CameraStats
from .histogram import Histogram, Spread

log = logging.getLogger(__name__)


class Stats:
    """Everything that is counted: for each camera, for each output, and a time histogram for each stage."""

    def __init__(self, cameras: list[str], clock: Clock | None = None, *, undetected: Collection[str] = ()) -> None:
        """Take the names of all cameras, and of those in whose pictures nothing is to be found."""
        self.clock: Clock = clock or SystemClock()
        self.cameras = {name: CameraStats(name, self.clock, detected=name not in undetected) for name in cameras}
        self.detector: Callable[[], str] = str
        """What detects and on what, in words; empty while nothing does."""
        self.outputs: dict[str, OutputStats] = _OutputsByName()
        self._stages: dict[str, Histogram] = {}
        self._lock = threading.Lock()

    def spent(self, stage: str, seconds: float) -> None:
        """Count the time that one frame took in a stage."""
        with self._lock:
            self._stages.setdefault(stage, Histogram()).add(seconds)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of the block."""
        begun = self.clock.monotonic()
        yield
        self.spent(stage, self.clock.monotonic() - begun)

    def figures(self) -> list[CameraFigures]:
        """Every camera at this moment, in the order of the configuration."""
        return [camera.figures() for camera in self.cameras.values()]

    def histograms(self) -> dict[str, Histogram]:
        """Return the times of each stage, as counts to go on with."""
        with self._lock:
            return {name: histogram.copy() for name, histogram in self._stages.items()}

    def told(self) -> dict[str, dict[str, str]]:
        """Return the states of the parts of each output."""
        return {name: output.states for name, output in list(self.outputs.items())}

    def losses(self) -> list[str]:
        """Return what outputs could not write and why, a line for each of them."""
        return [loss for output in list(self.outputs.values()) if (loss := output.loss)]

    def stages(self) -> dict[str, Spread]:
        """Return the distribution of the times of each stage."""
        with self._lock:
            return {name: histogram.spread() for name, histogram in self._stages.items()}


class _OutputsByName(dict[str, "OutputStats"]):
    """The counters of each output, made when they are first asked for."""

    def __missing__(self, name: str) -> OutputStats:
        self[name] = OutputStats(name)
        return self[name]


class OutputStats:
    """Counters of one output; safe from any thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._shown = self._skipped = self._lost = 0
        self._reason = ""
        self._states: dict[str, str] = {}

    def tell(self, part: str, state: str) -> None:
        """Tell the state of a part of it, such as one stream; nothing where all is well."""
        state = one_line(state)
        with self._lock:
            before = self._states.pop(part, "")
            if state:
                self._states[part] = state
        # What follows the comma, such as the seconds until the next try, is no news.
        if state.partition(",")[0] != before.partition(",")[0]:
            log.info("%s: %s: %s", self._name, part, state or "well", extra={"output": self._name})

    @property
    def states(self) -> dict[str, str]:
        """The states of its parts."""
        with self._lock:
            return dict(self._states)

    def shown(self) -> None:
        """Count a view that went somewhere: to the screen, a viewer or a file."""
        with self._lock:
            self._shown += 1

    def skipped(self) -> None:
        """Count a view that gave way to a newer one, or came too late to be shown."""
        with self._lock:
            self._skipped += 1

    def lost(self, reason: str) -> None:
        """Count what could not be written, such as a picture or a line, and why."""
        with self._lock:
            self._lost += 1
            self._reason = reason

    @property
    def loss(self) -> str:
        """What was lost and why, in one line; empty where nothing was."""
        with self._lock:
            things = "picture or line was" if self._lost == 1 else "pictures or lines were"
            return f"{self._name}: {self._lost} {things} lost: {self._reason}" if self._lost else ""

    def summary(self) -> dict[str, object]:
        """Return the stable keys of the summary file; `states` only where there is something to tell."""
        with self._lock:
            states = {"states": dict(self._states)} if self._states else {}
            return {"shown": self._shown, "skipped": self._skipped, "lost": self._lost, **states}
