"""The viewers of the page's server: which cameras they look at, and how many there may be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from pipeline.clock import Clock
from pipeline.outputs.hls.live_stream import HlsStream

from .client_queue import ClientQueue
from .passthrough import Passthrough


class Viewer:
    """One page or program that looks at some cameras; lives on the server's event loop."""

    def __init__(self, clock: Clock) -> None:
        self.names: frozenset[str] = frozenset()
        """Cameras it looks at."""
        self.queue = ClientQueue(clock, self.wake)
        """Carries the cameras whose compressed pictures it gets."""
        self._fresh = asyncio.Event()

    def takes_jpeg(self, name: str) -> bool:
        """Return whether it looks at a camera and does not decode the camera's own pictures itself."""
        return name in self.names and name not in self.queue.cameras

    def wake(self) -> None:
        """Note that something may be new."""
        self._fresh.set()

    async def woken(self) -> None:
        """Wait until something may be new."""
        await self._fresh.wait()
        self._fresh.clear()

    async def wait(self, seconds: float) -> None:
        """Wait until something may be new, `seconds` at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.woken(), seconds)


class ViewerRegistry:
    """All viewers of the server, players of HLS streams counted with them; safe from any thread."""

    def __init__(
        self,
        cameras: Collection[str],
        passthrough: Passthrough,
        hls_streams: Mapping[str, HlsStream],
        clock: Clock,
        max_count: int,
    ) -> None:
        self.closed = False
        """Whether the server ends and viewers have to go."""
        self._cameras = cameras
        self._passthrough = passthrough
        self._hls_streams = hls_streams
        self._clock = clock
        self._max_count = max_count
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._viewers: set[Viewer] = set()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake viewers on this event loop from now on."""
        self._loop = loop

    def enter(self, names: Iterable[str] = ()) -> Viewer | None:
        """Return a new viewer of those cameras; None when there are as many as allowed."""
        viewer = Viewer(self._clock)
        viewer.names = frozenset(names)
        with self._lock:
            if self.closed or self._full():
                return None
            self._viewers.add(viewer)
        return viewer

    def admit_player(self, camera: str, place: str) -> bool:
        """Count the HLS player at that address as a viewer of a camera; return False if it is one too many."""
        with self._lock:
            return not self.closed and self._hls_streams[camera].admit(place, self._full())

    def watch(self, viewer: Viewer, names: Iterable[str], direct: Iterable[str] = ()) -> None:
        """Let a viewer look at those cameras from now on, at `direct` ones as they send; unknown ones are ignored."""
        direct = frozenset(direct)
        self._passthrough.follow(viewer.queue, direct)
        with self._lock:
            viewer.names = (frozenset(names) | direct) & frozenset(self._cameras)
        viewer.wake()

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer that has gone."""
        self._passthrough.follow(viewer.queue, ())
        with self._lock:
            self._viewers.discard(viewer)

    def close(self) -> None:
        """Let every viewer go and take no new one."""
        with self._lock:
            self.closed = True
            viewers = list(self._viewers)
        self.wake(viewers)

    def count(self, camera: str = "") -> int:
        """Return the number of viewers, of that camera if one is named."""
        with self._lock:
            pages = sum(not camera or camera in viewer.names for viewer in self._viewers)
        return pages + sum(stream.players for name, stream in self._hls_streams.items() if camera in ("", name))

    def taking_jpeg(self, camera: str) -> list[Viewer]:
        """Return the viewers of a camera that need its pictures decoded and encoded here."""
        with self._lock:
            return [viewer for viewer in self._viewers if viewer.takes_jpeg(camera)]

    def wake(self, viewers: Iterable[Viewer]) -> None:
        """Wake viewers from any thread."""
        if self._loop is None:
            return
        try:
            for viewer in viewers:
                self._loop.call_soon_threadsafe(viewer.wake)
        except RuntimeError:
            # The loop has ended, and with it every viewer.
            self._loop = None

    def _full(self) -> bool:
        return len(self._viewers) + sum(stream.players for stream in self._hls_streams.values()) >= self._max_count
