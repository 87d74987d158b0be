"""A source with faults on purpose around a real one, to see beforehand what happens when a camera fails."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import replace

from pipeline.address.faults import Fault
from pipeline.capture.source import Sample, SoundSource, Source
from pipeline.clock import Clock, SystemClock
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Packet, Sound
from pipeline.redaction import redacted

_SLOW_INTERVAL_S = 1.0
_LATE_RATIO = 0.5
_CATCH_UP_S = 0.25
_POLL_S = 0.02
_REFUSALS = {
    "refuse": ("refused", "nobody answers at that port"),
    "disconnect": ("refused", "nobody answers at that port"),
    "unauthorized": ("unauthorized", "user or password are wrong or missing"),
}


class FaultInjector:
    """A source that fails as its address asks; a file inside plays like a camera: in its own time, over and over."""

    live = True

    def __init__(
        self,
        address: str,
        faults: tuple[Fault, ...],
        source: Source,
        settings: Capture,
        stopping: threading.Event | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Take the whole address, what it asks for, and the source inside it."""
        self.local = source.local
        self.gives_packets = source.gives_packets
        self.fps = source.fps
        self.description = ""
        self._name = redacted(address)
        self._faults = faults
        self._source = source
        self._settings = settings
        self._stopping = stopping or threading.Event()
        self._clock = clock or SystemClock()
        self._cuts = 0
        self._began: float | None = None
        self._pictured: float | None = None
        self._last = 0.0
        self._started = False
        self._start: float | None = None
        self._shift = self._pts = 0.0
        self._held: Sample | None = None
        self._broken = False
        self._tap: Callable[[Packet], None] | None = None

    @property
    def tap(self) -> Callable[[Packet], None] | None:
        """The listener to compressed pictures of the source inside, but for those of a stall and of times made up."""
        return self._tap

    @tap.setter
    def tap(self, tap: Callable[[Packet], None] | None) -> None:
        self._tap = tap
        self._source.tap = None if tap is None else self._tapped

    @property
    def sound_tap(self) -> Callable[[Sound], None] | None:
        """The listener to the sound of the source inside, which no fault changes."""
        return self._source.sound_tap if isinstance(self._source, SoundSource) else None

    @sound_tap.setter
    def sound_tap(self, tap: Callable[[Sound], None] | None) -> None:
        if isinstance(self._source, SoundSource):
            self._source.sound_tap = tap

    @property
    def wanted(self) -> Callable[[], bool] | None:
        """The question of the source inside whether its pictures are wanted."""
        return self._source.wanted

    @wanted.setter
    def wanted(self, wanted: Callable[[], bool] | None) -> None:
        self._source.wanted = wanted

    def _tapped(self, packet: Packet) -> None:
        lost = any(self._lasting(kind) is not None for kind in ("stall", "freeze", "slow", "late", "corrupt"))
        self._broken = lost or (self._broken and not packet.key)
        if self._tap is not None and not self._broken:
            pts, dts = (None if seconds is None else seconds + self._shift for seconds in (packet.pts, packet.dts))
            self._tap(replace(packet, pts=pts, dts=dts))

    def open(self) -> None:
        """Open the source inside, unless opening is to fail now."""
        if self._began is None:
            self._began = self._clock.monotonic()
        for kind, (reason, words) in _REFUSALS.items():
            if self._lasting(kind) is not None:
                self.local = False
                raise SourceError(f"{self._name}: {words}, as rehearsed", reason)
        self.local = self._source.local
        cuts = self._count()
        self._source.open()
        self._cuts = cuts
        self.fps = self._source.fps
        kinds = dict.fromkeys(fault.kind for fault in self._faults)
        self.description = f"{self._source.description}, rehearsing {', '.join(kinds)}"
        self._last, self._started = self._clock.monotonic(), False
        self._start, self._shift, self._pts = None, 0.0, 0.0

    def read(self) -> Sample | None:
        """Return the next picture, or the fault that is due."""
        self.local = False
        while not self._stopping.is_set():
            if self._count() > self._cuts:
                raise SourceError(f"{self._name}: the connection was cut, as rehearsed", "ended")
            sample = self._sample()
            now = self._clock.monotonic()
            if self._pictured is None and (sample is not None or not self._source.live):
                self._pictured = now
            if sample is not None and not self._withheld(now):
                self._last, self._started = now, True
                return self._changed(sample)
            allowed_s = self._settings.stall_timeout if self._started else self._settings.start_timeout
            if now - self._last >= allowed_s:
                raise SourceError(f"{self._name}: no picture for {allowed_s:g} s, as rehearsed", "timed out")
        raise SourceError(f"{self._name}: stopped", "ended")

    def close(self) -> None:
        """Close the source inside."""
        self._source.close()

    def _sample(self) -> Sample | None:
        """Return the next picture of the source inside; None if that is a file which has to wait."""
        if self._source.live:
            return self._source.read()
        if self._lasting("stall") is not None:
            self._clock.wait(self._stopping, _POLL_S)
            self._start = None
            return None
        sample = self._source.read()
        if sample is None:
            self._source.open()
            self._shift = self._pts + 1 / (self._source.fps or 25.0)
            return None
        pace = 1 / (self._source.fps or 25.0)
        self._pts = self._pts + pace if sample.pts is None else sample.pts + self._shift
        now = self._clock.monotonic()
        if self._start is None or now - self._start - self._pts > _CATCH_UP_S:
            self._start = now - self._pts
        self._clock.wait(self._stopping, max(0.0, self._start + self._pts - now))
        return sample._replace(pts=self._pts)

    def _withheld(self, now: float) -> bool:
        slow = self._lasting("slow") is not None and self._started and now - self._last < _SLOW_INTERVAL_S
        return slow or self._lasting("stall") is not None

    def _changed(self, sample: Sample) -> Sample:
        if self._lasting("freeze") is None or self._held is None or self._held.picture is None:
            self._held = sample
        late = self._lasting("late")
        pts = sample.pts if sample.pts is None or late is None else sample.pts - _LATE_RATIO * late
        damaged = sample.damaged or self._lasting("corrupt") is not None
        return sample._replace(picture=self._held.picture, pts=pts, damaged=damaged)

    def _lasting(self, kind: str) -> float | None:
        """Tell for how long a kind of fault has been going on; None while it does not."""
        for fault in self._faults:
            if fault.kind == kind and (since := fault.lasting(self._at(fault))) is not None:
                return since
        return None

    def _count(self) -> int:
        """Tell how many times the connection was to be cut until now."""
        return sum(fault.count(self._at(fault)) for fault in self._faults if fault.kind == "disconnect")

    def _at(self, fault: Fault) -> float:
        """Return its own time: one that is to come later meets a stream that runs, however slow its start."""
        origin = self._pictured if fault.start else self._began
        return -math.inf if origin is None else self._clock.monotonic() - origin
