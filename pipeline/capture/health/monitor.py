"""The state of a live camera as its pictures show it, silence aside: late, always the same, or damaged."""

from __future__ import annotations

from pipeline.capture.source import Sample
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Picture
from pipeline.stats.camera import State

from .stall import STALL_INTERVAL_COUNT

LATE_S = 1.0
"""Seconds of lag from which a stream counts as late."""
LATE_FOR_S = 3.0
"""Seconds that the lag must last."""
DRAINING_S = 2.0
"""Seconds to come back by reading faster, before the stream is opened anew."""
CLOCK_DRIFT_RATIO = 3e-4
"""Part of the time by which a camera's clock may be too slow, always."""

_MAX_CLOCK_DRIFT_RATIO = 5e-3
_LIKE_DRIFT_RATIO = 0.3
_JUMP_S = 1.0


class Lag:
    """The lag of a stream behind its own clock: seconds more than when it was fastest."""

    def __init__(self) -> None:
        self.allowed = CLOCK_DRIFT_RATIO
        self._slope: float | None = None
        self.opened()

    def opened(self) -> None:
        """Note a new connection: its delay is unknown, and the shortest counts as none."""
        self.behind = 0.0
        self._base: float | None = None
        self._before = self._pts = self._first = 0.0

    def see(self, pts: float | None, now: float) -> float:
        """Return the seconds behind after a picture with this time arrived; 0 for a stream without times."""
        if pts is None:
            return self.behind
        passed, step = now - self._before, pts - self._pts
        if self._base is None:
            self._base, self._first = now - pts, now
        elif step <= 0 or step > passed + self.behind + _JUMP_S:
            # A jump of its clock says nothing about the way here.
            self._base = now - pts - self.behind
        else:
            self._base = min(now - pts, self._base + passed * self.allowed)
        self._before, self._pts = now, pts
        self.behind = now - pts - self._base
        return self.behind

    def excused(self) -> bool:
        """Tell whether the lag grew as slowly and as evenly as the time before, so that it is the camera's clock."""
        slope = self.behind / max(1.0, self._before - self._first)
        before, self._slope = self._slope, slope
        if slope > _MAX_CLOCK_DRIFT_RATIO or before is None or abs(slope - before) > _LIKE_DRIFT_RATIO * before:
            return False
        self.allowed += 1.2 * slope
        self.opened()
        return True


class LiveHealthMonitor:
    """The judge of one camera's pictures over all of its connections; times in monotonic seconds."""

    def __init__(self, settings: Capture) -> None:
        self._settings = settings
        self._lag = Lag()
        self.opened(0.0)

    def opened(self, now: float) -> None:
        """Note a new connection."""
        self._lag.opened()
        self._good, self._damaged = now, 0
        self._late_since: float | None = None
        self._late = False
        self._picture: Picture | None = None
        self._glance = b""
        self._same_since = 0.0

    def judge(self, sample: Sample, pts: float | None, now: float, paused: float = 0.0) -> tuple[State, float]:
        """Return the state that a picture shows the camera to be in, and for how many seconds it has been.

        SourceError where only a new connection can help. `paused` is how long the whole process did not run until now,
        during which a camera's pictures may have been kept for it, and be late.
        """
        if sample.damaged:
            self._damaged += 1
            if self._damaged >= STALL_INTERVAL_COUNT and now - self._good >= self._settings.stall_timeout:
                raise SourceError(f"no undamaged picture for {now - self._good:.1f} s", "timed out")
            return State.CORRUPT, 0.0
        self._good, self._damaged = now, 0
        same = self._same(sample.picture, now)
        late = self._behind(pts, now + paused)
        limit = self._settings.frozen_after
        if limit and same >= limit:
            if self._settings.frozen_reconnect:
                raise SourceError(f"the same picture for {same:.0f} s", "frozen")
            return State.FROZEN, same
        return (State.LATE, 0.0) if late else (State.LIVE, 0.0)

    @property
    def behind(self) -> float:
        """Seconds by which the last picture was behind; 0 unless the camera is late."""
        return self._lag.behind if self._late else 0.0

    def _same(self, picture: Picture | None, now: float) -> float:
        """Tell for how many seconds the picture has not changed; 0 while nobody unpacks it, which would show."""
        if picture is None:
            self._picture, self._glance = None, b""
            return 0.0
        if picture is not self._picture:
            glance = picture.glance() if self._settings.frozen_after else b""
            if not glance or glance != self._glance:
                self._glance, self._same_since = glance, now
        self._picture = picture
        return now - self._same_since

    def _behind(self, pts: float | None, now: float) -> bool:
        behind = self._lag.see(pts, now)
        if behind <= (LATE_S / 2 if self._late else LATE_S):
            self._late_since, self._late = None, False
            return False
        if self._late_since is None:
            self._late_since = now
        lasting = now - self._late_since
        if lasting >= LATE_FOR_S and not self._late:
            self._late = not self._lag.excused()
            self._late_since = self._late_since if self._late else None
        if self._late and lasting >= LATE_FOR_S + DRAINING_S:
            raise SourceError(f"{behind:.1f} s behind", "late")
        return self._late
