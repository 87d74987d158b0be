"""The live stream of one camera for HLS players: its newest seconds, made once for all of them, and who they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from pipeline.clock import Clock
from pipeline.frames import Packet

from .playlist import media_playlist, multivariant_playlist
from .segmenter import Segmenter

STALE_AFTER_S = 3.0
"""How long a stream without a new picture is still called fresh."""
_PLAYER_GONE_AFTER_S = 12.0
_MAX_PLAYER_COUNT = 4096


class HlsStream:
    """Packets in, playlists, segments and parts out; safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._segmenter = Segmenter(clock)
        self._asked_at: dict[str, float] = {}
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False

    def put(self, packet: Packet) -> None:
        """Take the next picture, at once."""
        with self._lock:
            changed = not self._closed and self._segmenter.put(packet)
        if changed:
            self._notify()

    def admit(self, place: str, full: bool = False) -> bool:
        """Count the player at that address; return False if it is new while there are as many as allowed."""
        now = self._clock.monotonic()
        with self._lock:
            self._asked_at = {known: at for known, at in self._asked_at.items() if now - at <= _PLAYER_GONE_AFTER_S}
            if place not in self._asked_at and (full or len(self._asked_at) >= _MAX_PLAYER_COUNT):
                return False
            self._asked_at[place] = now
        return True

    @property
    def players(self) -> int:
        """Number of addresses that have asked for something within the last seconds."""
        now = self._clock.monotonic()
        with self._lock:
            return sum(now - at <= _PLAYER_GONE_AFTER_S for at in self._asked_at.values())

    @property
    def ready(self) -> bool:
        """Whether there is something to begin with."""
        with self._lock:
            return self._segmenter.ready

    @property
    def fresh(self) -> bool:
        """Whether there is something to begin with, and the newest of it is of the present."""
        with self._lock:
            return self._segmenter.ready and self._segmenter.age() < STALE_AFTER_S

    def discard(self, *, keep: bool) -> None:
        """Discard all, because nobody watches, or `keep` what the next player needs to begin at once."""
        with self._lock:
            if keep:
                self._segmenter.relax()
            else:
                self._segmenter.clear()

    def close(self) -> None:
        """End, and let waiting players go."""
        with self._lock:
            self._closed = True
            self._segmenter.clear()
        self._notify()

    def multivariant_playlist(self) -> str:
        """Return the multivariant playlist; empty while there is nothing to begin with."""
        with self._lock:
            return multivariant_playlist(self._segmenter) if self._segmenter.ready else ""

    def media_playlist(self) -> str:
        """Return the media playlist; empty while there is nothing to begin with."""
        with self._lock:
            if not self._segmenter.ready:
                return ""
            self._segmenter.promise()
            return media_playlist(self._segmenter)

    @property
    def target(self) -> int:
        """Longest segment in whole seconds; 0 before the first playlist."""
        return self._segmenter.target

    @property
    def newest(self) -> int:
        """Number of the segment that grows; 0 before the first."""
        with self._lock:
            return self._segmenter.segments[-1].number if self._segmenter.segments else 0

    def init_segment(self, number: int) -> bytes | None:
        """Return the init segment of that number; None if there is none."""
        with self._lock:
            return self._segmenter.init_segments.get(number)

    def segment(self, number: int) -> list[bytes] | None:
        """Return a whole segment, in its parts; None if it is not there."""
        with self._lock:
            for segment in (*self._segmenter.expired, *self._segmenter.segments):
                if segment.number == number and segment.whole:
                    return [part.data for part in segment.parts]
        return None

    def part(self, number: int, index: int) -> bytes | None:
        """Return a part of a segment; None if it is not there."""
        with self._lock:
            for segment in (*self._segmenter.expired, *self._segmenter.segments):
                if segment.number == number and index < len(segment.parts):
                    return segment.parts[index].data
        return None

    def reached(self, number: int, index: int | None = None) -> bool:
        """Return whether that segment is whole, or that part of it there; all that is over counts as reached."""
        with self._lock:
            if not self._segmenter.segments:
                return False
            last = self._segmenter.segments[-1]
            if last.number != number:
                return last.number > number
            return last.whole or (index is not None and len(last.parts) > index)

    async def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` holds, `seconds` at most; return whether it does."""
        waiter = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._waiters.add(waiter)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not condition() and not self._closed:
                        await waiter[1].wait()
                        waiter[1].clear()
            return condition()
        finally:
            with self._lock:
                self._waiters.discard(waiter)

    def _notify(self) -> None:
        with self._lock:
            waiters = list(self._waiters)
        for loop, event in waiters:
            # An event loop that has ended takes all who waited with it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)
