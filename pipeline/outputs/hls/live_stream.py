"""One camera on the air: its newest seconds for HLS players, and who watches; made once for all of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from pipeline.clock import Clock
from pipeline.frames import Packet

from . import playlist
from .segmenter import Segmenter

STALE = 3.0
"""Seconds without a picture after which none is called present."""
_GONE = 12.0
_PLACES = 4096


class Broadcast:
    """Packets in, playlists and pieces out; safe from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cutter = Segmenter(clock)
        self._places: dict[str, float] = {}
        self._bells: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._closed = False

    def put(self, packet: Packet) -> None:
        """Take the next picture, at once."""
        with self._lock:
            news = not self._closed and self._cutter.put(packet)
        if news:
            self._ring()

    def ask(self, place: str, full: bool = False) -> bool:
        """Somebody there watches; False if he is new while there are as many as allowed."""
        now = self._clock.monotonic()
        with self._lock:
            gone = [each for each, at in self._places.items() if now - at > _GONE]
            for each in gone:
                del self._places[each]
            if place not in self._places and (full or len(self._places) >= _PLACES):
                return False
            self._places[place] = now
        return True

    @property
    def players(self) -> int:
        """How many addresses have asked for something within the last seconds."""
        now = self._clock.monotonic()
        with self._lock:
            return sum(now - at <= _GONE for at in self._places.values())

    @property
    def ready(self) -> bool:
        """Whether there is something to begin with."""
        with self._lock:
            return self._cutter.ready

    @property
    def fresh(self) -> bool:
        """Whether there is something to begin with, and the newest of it is of the present."""
        with self._lock:
            return self._cutter.ready and self._cutter.age() < STALE

    def rest(self, *, keep: bool) -> None:
        """Nobody watches: forget all, or `keep` what the next player needs to begin at once."""
        with self._lock:
            if keep:
                self._cutter.relax()
            else:
                self._cutter.clear()

    def close(self) -> None:
        """Let all who wait go."""
        with self._lock:
            self._closed = True
            self._cutter.clear()
        self._ring()

    def index(self) -> str:
        """The multivariant playlist; empty while there is nothing to begin with."""
        with self._lock:
            return playlist.index(self._cutter) if self._cutter.ready else ""

    def live(self) -> str:
        """The media playlist; empty while there is nothing to begin with."""
        with self._lock:
            if not self._cutter.ready:
                return ""
            self._cutter.promise()
            return playlist.live(self._cutter)

    @property
    def target(self) -> int:
        """Seconds that no segment is longer than; 0 before the first playlist."""
        return self._cutter.target

    @property
    def newest(self) -> int:
        """Number of the segment that grows; 0 before the first."""
        with self._lock:
            return self._cutter.stretches[-1].number if self._cutter.stretches else 0

    def head(self, number: int) -> bytes | None:
        """What stands before the pieces that name it; None if there is none of that number."""
        with self._lock:
            return self._cutter.heads.get(number)

    def segment(self, number: int) -> list[bytes] | None:
        """A whole segment, in its parts; None if it is not there."""
        with self._lock:
            for each in (*self._cutter.former, *self._cutter.stretches):
                if each.number == number and each.whole:
                    return [part.data for part in each.parts]
        return None

    def part(self, number: int, index: int) -> bytes | None:
        """A part of a segment; None if it is not there."""
        with self._lock:
            for each in (*self._cutter.former, *self._cutter.stretches):
                if each.number == number and index < len(each.parts):
                    return each.parts[index].data
        return None

    def reached(self, number: int, index: int | None = None) -> bool:
        """Whether that segment is whole, or that part of it there; all that is over counts as reached."""
        with self._lock:
            if not self._cutter.stretches:
                return False
            last = self._cutter.stretches[-1]
            if last.number != number:
                return last.number > number
            return last.whole or (index is not None and len(last.parts) > index)

    async def until(self, true: Callable[[], bool], seconds: float) -> bool:
        """Wait until that holds, `seconds` at most; whether it does."""
        bell = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._bells.add(bell)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    while not true() and not self._closed:
                        await bell[1].wait()
                        bell[1].clear()
            return true()
        finally:
            with self._lock:
                self._bells.discard(bell)

    def _ring(self) -> None:
        with self._lock:
            bells = list(self._bells)
        for loop, event in bells:
            # An event loop that has ended takes all who waited with it.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(event.set)
