"""The counters of one camera, and the states that it goes through.

At any moment: captured = inferred + carried + passed + dropped (by reason) + in flight.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pipeline.clock import Clock
from pipeline.redaction import one_line

from .histogram import Histogram, Rate


class State(StrEnum):
    """The state of a camera."""

    CONNECTING = "connecting"
    LIVE = "live"
    LATE = "late"
    STALLED = "stalled"
    FROZEN = "frozen"
    CORRUPT = "corrupt"
    OFFLINE = "offline"
    RETRYING = "retrying"
    ENDED = "ended"


_SILENT = frozenset({State.STALLED, State.OFFLINE, State.RETRYING})
"""States in which nobody knows who is there."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a camera's state."""

    number: int
    """Counts the changes of this camera from 0."""
    state: State
    reason: str
    at: datetime
    """UTC."""
    last_good: datetime | None = None
    """UTC time of the last good picture before; None before the first."""
    next_try: datetime | None = None
    """UTC time of the next try to connect; None while none is planned."""


@dataclass(frozen=True, slots=True)
class CameraFigures:
    """One camera at one moment."""

    name: str
    state: State
    reason: str
    """Why the state is what it is; empty when all is well."""
    since: datetime
    """UTC time of the last change of state."""
    retry_in: float | None
    """Seconds until the next try to connect; None while none is planned."""
    source: str
    """What was negotiated, such as `h264 1280x720 over tcp`; empty before the first opening."""
    captured: int
    inferred: int
    dropped: dict[str, int]
    shown: int
    in_flight: int
    reconnects: int
    fps_in: float
    """Frames a second that the source gives."""
    fps: float
    """Frames a second that at least one output shows."""
    people: int | None
    """Detections in the newest result; None before the first, without detection, and while no pictures come."""
    age: float | None
    """Seconds since the newest picture that is ready to be seen was captured; None before the first."""
    last_good: datetime | None = None
    """UTC time of the last picture that was captured whole; None before the first."""
    next_try: datetime | None = None
    """UTC time of the next try to connect; None while none is planned."""
    late: int = 0
    """How many times the pictures fell behind the camera's own clock."""
    behind: float = 0.0
    """Seconds by which they are behind while they are late: they are that much older than when they were captured."""
    detected: bool = True
    """Whether anything is to be found in its pictures."""
    carried: int = 0
    """Frames shown with boxes carried on from earlier ones, and not inferred themselves."""
    fps_detected: float = 0.0
    """Frames a second that are inferred."""
    passed: int = 0
    """Frames that go on without detection: the camera's are not to be detected, or no device answered."""
    live: bool = True
    """Whether it is a camera rather than a file."""


class CameraStats:
    """Counters of one camera; safe from any thread."""

    def __init__(self, name: str, clock: Clock, *, detected: bool = True) -> None:
        self.name = name
        self.detected = detected
        self._clock = clock
        self._lock = threading.Lock()
        self._captured = self._inferred = self._passed = self._shown = self._reconnects = 0
        self._dropped: Counter[str] = Counter()
        self._carried = 0
        self._rate_in, self._rate_shown, self._rate_detected = Rate(), Rate(), Rate()
        self._people: int | None = None
        self._newest: float | None = None
        self._state, self._reason, self._since = State.CONNECTING, "", clock.now()
        self._changes = deque([Change(0, self._state, self._reason, self._since)], maxlen=256)
        self._retry_at: float | None = None
        self._good: float | None = None
        self._late = 0
        self._behind = 0.0
        self._source, self._live = "", True
        self._started = clock.monotonic()
        self._first_shown: float | None = None
        self._first = self._last = 0.0
        self.latency = Histogram()

    def captured(self, *, good: bool = True, behind: float = 0.0) -> None:
        """Count a frame that the source gave: not `good` if it is damaged, seconds `behind` if it is late."""
        now = self._clock.monotonic()
        with self._lock:
            self._behind = behind
            self._captured += 1
            self._good = now if good else self._good
            if good and not self.detected:
                self._passed += 1
                self._seen(now)
            self._rate_in.tick(now)

    def dropped(self, reason: str) -> None:
        """Count a captured frame that will not be inferred."""
        with self._lock:
            self._dropped[reason] += 1

    def inferred(self, people: int, captured: float | None = None) -> None:
        """Count a frame captured at that monotonic time that has its detections and is ready to be seen."""
        now = self._clock.monotonic()
        with self._lock:
            self._rate_detected.tick(now)
            self._inferred += 1
            self._people = people
            self._seen(captured)

    def carried(self) -> None:
        """Count a frame that was shown with boxes carried on to it, and that will not be inferred."""
        with self._lock:
            self._carried += 1

    def passed(self, captured: float) -> None:
        """Count a frame captured at that monotonic time that goes on without detection, because no device answers."""
        with self._lock:
            self._passed += 1
            self._people = None
            self._seen(captured)

    def shown(self, captured: float) -> None:
        """Count a result captured at that monotonic time that has reached its first output."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._shown:
                self._first_shown, self._first = now - self._started, now
            self._last = now
            self._shown += 1
            self._rate_shown.tick(now)
            self._seen(captured)
            self.latency.add(now - captured)

    def _seen(self, captured: float | None) -> None:
        if captured is not None and (self._newest is None or captured > self._newest):
            self._newest = captured

    def changed(self, state: State, reason: str = "", retry_in: float | None = None, *, held: float = 0.0) -> bool:
        """Note that the camera has been in `state` for `held` seconds; True if that is news."""
        reason = one_line(reason)
        with self._lock:
            now, at = self._clock.monotonic(), self._clock.now()
            self._retry_at = None if retry_in is None else now + retry_in
            news = (state, reason) != (self._state, self._reason)
            if news:
                self._since = at - timedelta(seconds=held)
                self._late += state is State.LATE and self._state is not State.LATE
                number = self._changes[-1].number + 1
                good, retry = self._moment(self._good), self._moment(self._retry_at)
                self._changes.append(Change(number, state, reason, at, good, retry))
            self._state, self._reason = state, reason
            return news

    def _moment(self, seconds: float | None) -> datetime | None:
        """Return the wall clock at a time in monotonic seconds."""
        if seconds is None:
            return None
        return self._clock.now() + timedelta(seconds=seconds - self._clock.monotonic())

    def changes(self, after: int = -1) -> list[Change]:
        """Return the changes of state that follow number `after`, oldest first; the last 256 are kept."""
        with self._lock:
            return [change for change in self._changes if change.number > after]

    def opened(self, source: str, *, again: bool, live: bool = True) -> None:
        """Note that the source answered; `source` says what was negotiated, `again` that it was lost before."""
        with self._lock:
            self._source, self._live = one_line(source), live
            self._reconnects += again

    def figures(self) -> CameraFigures:
        """Return all of it at this moment."""
        now = self._clock.monotonic()
        with self._lock:
            return CameraFigures(
                name=self.name,
                state=self._state,
                reason=self._reason,
                since=self._since,
                retry_in=None if self._retry_at is None else max(0.0, self._retry_at - now),
                source=self._source,
                captured=self._captured,
                inferred=self._inferred,
                dropped=dict(self._dropped),
                shown=self._shown,
                in_flight=self._captured - self._inferred - self._carried - self._passed - self._dropped.total(),
                reconnects=self._reconnects,
                fps_in=self._rate_in.value(now),
                fps=self._rate_shown.value(now),
                people=None if self._state in _SILENT else self._people,
                age=None if self._newest is None else now - self._newest,
                last_good=self._moment(self._good),
                next_try=self._moment(self._retry_at),
                late=self._late,
                behind=self._behind,
                detected=self.detected,
                passed=self._passed,
                carried=self._carried,
                fps_detected=self._rate_detected.value(now),
                live=self._live,
            )

    def ages(self) -> Histogram:
        """Return the ages of pictures when their first output had shown them."""
        with self._lock:
            return self.latency.copy()

    def summary(self) -> dict[str, object]:
        """Return the stable keys of the summary file; `fps` is shown frames over the time from first to last."""
        figures = self.figures()
        with self._lock:
            span = self._last - self._first
            return {
                "captured": figures.captured,
                "detected": figures.detected,
                "inferred": figures.inferred,
                "carried": figures.carried,
                "passed": figures.passed,
                "shown": figures.shown,
                "dropped": figures.dropped,
                "in_flight": figures.in_flight,
                "reconnects": figures.reconnects,
                "late": figures.late,
                "fps": round((figures.shown - 1) / span, 2) if span > 0 else 0.0,
                "people": self._people,
                "state": figures.state.value,
                "source": figures.source,
                "first_shown_s": None if self._first_shown is None else round(self._first_shown, 3),
                "latency_ms": self.latency.spread().as_dict(),
            }
