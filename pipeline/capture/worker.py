"""The loop around a source: numbers and stamps its pictures, keeps their pace, and never gives a camera up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from pipeline.capture.health.monitor import LiveHealthMonitor
from pipeline.clock import Clock
from pipeline.concurrency.backoff import Backoff
from pipeline.config.cameras import Camera
from pipeline.errors import SourceError
from pipeline.frames import AS_CODED, Frame, Packet, Picture, Sound
from pipeline.redaction import redacted
from pipeline.stats.camera import CameraStats, State

from . import open_source
from .decode.pictures import TurnedPicture
from .decode.presentation_tracker import by_hand, pixel_aspect
from .source import Sample, SoundSource, Source

_STATES = {"timed out": State.STALLED, "late": State.LATE, "frozen": State.FROZEN}
"""What the loss of a camera is called that was live before; offline for all other reasons."""
_CATCH_UP_S = 0.25
_MAX_PAUSE_S = 10.0

log = logging.getLogger(__name__)


class FrameSink(Protocol):
    """Where frames go: a lane, or what stands before one."""

    latest: bool
    """Whether old frames give way to new ones."""

    @property
    def closed(self) -> bool:
        """Whether nobody reads any more."""
        ...

    def put(self, frame: Frame, /) -> bool:
        """Hand over one frame; False means nobody will read it or any later one."""
        ...


class CaptureWorker:
    """One source on its way into the pipeline; `run` is the body of its thread."""

    def __init__(
        self,
        name: str,
        settings: Camera,
        lane: FrameSink,
        stats: CameraStats,
        stopping: threading.Event,
        *,
        paced: bool,
        clock: Clock,
        source: Source | None = None,
        tap: Callable[[Packet], None] | None = None,
        wanted: Callable[[], bool] | None = None,
        sound: Callable[[Sound], None] | None = None,
    ) -> None:
        """Take where frames go and what counts them; `paced` plays a file at its own speed.

        `tap` hears every compressed picture before it is decoded, from the camera's thread: it must not wait, nor may
        `wanted`, which says at each picture whether anybody has a use for it decoded; without it all are decoded.
        `sound` hears the camera's sound in the same way, which is not even asked for otherwise.
        """
        self.name = name
        self.source = source or open_source(settings.source, settings.capture, stopping)
        self._address = settings.source
        self._settings = settings.capture
        self._lane = lane
        self._stats = stats
        self._stopping = stopping
        self._clock = clock
        self._pace = Pace(clock, stopping) if paced else None
        self._seq = 0
        self._shift = 0.0
        self._tap = tap
        if tap is not None:
            self.source.tap = self._tapped
        if wanted is not None:
            self.source.wanted = wanted
        self._sound = sound
        if sound is not None and isinstance(self.source, SoundSource):
            self.source.sound_tap = self._sounded
        self._opened = False
        self._told = ""
        self._live_since: float | None = None
        self._state = State.CONNECTING
        self._health = LiveHealthMonitor(settings.capture)
        self._backoff = Backoff(name)

    def run(self) -> None:
        """Feed the lane until the file ends, nobody reads, or the stop; SourceError if the source is of no use."""
        try:
            while not self._stopping.is_set():
                try:
                    if not self._guarded():
                        return
                except SourceError as error:
                    if self._stopping.is_set():
                        return
                    if not self.source.live or (self.source.local and not self._opened):
                        raise
                    self.source.close()
                    self._wait(error)
        finally:
            self.source.close()

    def _guarded(self) -> bool:
        """Do the same as `_open_and_play`; whatever goes wrong in it is the source's fault, and nobody else's."""
        try:
            return self._open_and_play()
        except SourceError:
            raise
        except Exception as error:
            log.debug("%s", self.name, exc_info=True, extra={"camera": self.name})
            words = f"{redacted(self._address)}: cannot be read: {type(error).__name__}: {error}"
            # A camera is tried again for ever, so that nobody else would say what was wrong.
            if self.source.live and words != self._told:
                self._told = words
                self._log(logging.ERROR, words)
            raise SourceError(words, "unreadable") from error

    def _open_and_play(self) -> bool:
        """Play one connection from its opening to its end; False when there will be no other."""
        self._stats.changed(State.RETRYING if self._backoff.losses else State.CONNECTING)
        self._state = State.CONNECTING
        self._live_since = None
        self.source.open()
        # Only an open source knows whether it is a finished recording after all.
        self._lane.latest = self.source.live
        self._health.opened(self._clock.monotonic())
        self._stats.opened(self.source.description, again=self._opened, live=self.source.live)
        self._opened = True
        self._shift = 0.0
        last: float | None = None
        while not self._stopping.is_set():
            sample = self.source.read()
            if sample is None:
                if self._live_since is None and not self._stopping.is_set():
                    where = redacted(self._address)
                    raise SourceError(f"{where}: it ends without one picture that could be decoded", "unreadable")
                if not self._settings.loop or last is None:
                    self._stats.changed(State.ENDED)
                    return False
                self.source.open()
                self._shift = last + 1 / (self.source.fps or 25.0)
                continue
            pts = None if sample.pts is None else sample.pts + self._shift
            last = pts if pts is not None else last or 0.0
            if not self._pass_on(sample, pts):
                return False
        return False

    def _pass_on(self, sample: Sample, pts: float | None) -> bool:
        if self._pace is not None and not self.source.live:
            self._pace.wait(pts if pts is not None else self._seq / (self.source.fps or 25.0))
        captured = self._clock.monotonic()
        state, held = State.LIVE, 0.0
        if self.source.live:
            state, held = self._health.judge(sample, pts, captured, self._clock.paused())
        if self._live_since is None and not sample.damaged:
            self._live_since = captured
            self._log(logging.INFO, f"live, {self.source.description}")
        if state is not self._state:
            if state is not State.LIVE:
                self._log(logging.WARNING, state.value)
            elif self._state is not State.CONNECTING:
                self._log(logging.INFO, state.value)
            self._state = state
            self._stats.changed(state, held=held)
        seq = self._seq
        self._seq += 1
        self._stats.captured(good=not sample.damaged, behind=self._health.behind)
        if sample.damaged:
            self._stats.dropped("corrupt")
        if sample.damaged or sample.picture is None:
            return not self._lane.closed
        return self._lane.put(Frame(self.name, seq, pts, captured, self._shown(sample.picture), sample.decode))

    def _shown(self, picture: Picture) -> Picture:
        """Return a picture as the configuration asks, where the source has not done so beside its packets."""
        if self.source.gives_packets:
            return picture
        aspect = pixel_aspect(self._settings, picture.width, picture.height) or AS_CODED.pixel_aspect
        asked = replace(by_hand(self._settings), pixel_aspect=aspect)
        return picture if asked == AS_CODED else TurnedPicture(picture, asked)

    def _tapped(self, packet: Packet) -> None:
        assert self._tap is not None
        pts, dts = (None if seconds is None else seconds + self._shift for seconds in (packet.pts, packet.dts))
        self._tap(replace(packet, camera=self.name, pts=pts, dts=dts))

    def _sounded(self, sound: Sound) -> None:
        assert self._sound is not None
        self._sound(replace(sound, camera=self.name, pts=sound.pts + self._shift))

    def _wait(self, error: SourceError) -> None:
        played = 0.0 if self._live_since is None else self._clock.monotonic() - self._live_since
        delay = self._backoff.next(played, refused=error.reason == "unauthorized")
        state = _STATES.get(error.reason, State.OFFLINE) if self._live_since is not None else State.OFFLINE
        self._stats.changed(state, error.reason, delay)
        self._log(logging.WARNING, f"{error}; next try in {delay:.1f} s")
        self._clock.wait(self._stopping, delay)

    def _log(self, level: int, text: str) -> None:
        log.log(level, "%s: %s", self.name, text, extra={"camera": self.name})


class Pace:
    """The brake that holds pictures back until their time on the source's own timeline has come."""

    def __init__(self, clock: Clock, stopping: threading.Event) -> None:
        self._clock = clock
        self._stopping = stopping
        self._start: float | None = None
        self._last = 0.0

    def wait(self, pts: float) -> None:
        """Wait until `pts` is due; a timeline that jumps, or a reader that is slow, starts the count anew."""
        now = self._clock.monotonic()
        jumped = not 0 <= pts - self._last <= _MAX_PAUSE_S
        if self._start is None or jumped or now - self._start - pts > _CATCH_UP_S:
            self._start = now - pts
        self._last = pts
        ahead = self._start + pts - now
        if ahead > 0:
            self._clock.wait(self._stopping, ahead)
