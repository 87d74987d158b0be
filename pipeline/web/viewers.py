"""The newest picture of each camera and who looks at it: encoded once for all, and only while somebody looks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import cv2

from pipeline.clock import Clock
from pipeline.config import root as config
from pipeline.draw.overlay import blank, stale
from pipeline.errors import OutputError
from pipeline.frames import Image
from pipeline.outputs.hls.live_stream import Broadcast
from pipeline.outputs.protocols import View
from pipeline.stats.health import OLD, Verdict, verdict
from pipeline.stats.registry import CameraFigures, State, Stats
from pipeline.web.auth.stream_keys import address

from .page_queue import Feed
from .passthrough import Passthrough
from .status import card

_NUMBERS_AGE = 0.25
_PATIENCE = 4.0
_TURN = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One view as a JPEG."""

    view: View
    jpeg: bytes


class Viewer:
    """One page or program that looks at some cameras; lives on the server's event loop."""

    def __init__(self, clock: Clock) -> None:
        self.names: frozenset[str] = frozenset()
        """Cameras it looks at."""
        self.feed = Feed(clock, self.wake)
        """Carries those whose own pictures it gets."""
        self._fresh = asyncio.Event()

    def takes_jpeg(self, name: str) -> bool:
        """Whether it looks at a camera and does not decode the camera's own pictures itself."""
        return name in self.names and name not in self.feed.cameras

    def wake(self) -> None:
        """Something may be new."""
        self._fresh.set()

    async def woken(self) -> None:
        """Until something may be new."""
        await self._fresh.wait()
        self._fresh.clear()

    async def wait(self, seconds: float) -> None:
        """Until something may be new, `seconds` at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.woken(), seconds)


class Gallery:
    """Newest views in, JPEGs out; safe from any thread."""

    def __init__(
        self,
        stats: Stats,
        quality: int,
        most_viewers: int,
        overlays: Mapping[str, config.Overlay],
        broadcasts: Mapping[str, Broadcast],
        reach: Callable[[str], float],
    ) -> None:
        """`reach` says how many seconds back a camera's clips can go."""
        self.stats = stats
        self.overlays = overlays
        self.broadcasts = broadcasts
        self.stream_address: Callable[[str], str] = address
        """Where a camera's HLS stream is."""
        self.relay = Passthrough(stats.cameras, stats.clock)
        self.closed = False
        self._reach = reach
        self._quality = quality
        self._most = most_viewers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._encoding = threading.Lock()
        self._views: dict[str, View] = {}
        self._shots: dict[str, Shot] = {}
        self._dimmed: dict[str, tuple[View | None, str, bytes]] = {}
        self._viewers: set[Viewer] = set()
        self._numbers: tuple[float, str] = (0.0, "")

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake viewers on this event loop from now on."""
        self._loop = loop
        self.relay.attach(loop)

    def show(self, view: View) -> bool:
        """Take a camera's newest view; True if somebody looks at that camera."""
        name = view.result.frame.camera
        with self._lock:
            self._views[name] = view
            watchers = [viewer for viewer in self._viewers if viewer.takes_jpeg(name)]
        if watchers:
            self._shoot(view)
            self._wake(watchers)
        return bool(watchers) or self.relay.watched(name)

    def wants(self, name: str) -> bool:
        """Whether anybody looks at a camera and needs its pictures decoded here."""
        with self._lock:
            return any(viewer.takes_jpeg(name) for viewer in self._viewers)

    async def refresh(self, name: str) -> None:
        """Wait a little for a picture of a camera that is decoded only while somebody looks."""
        figures = self.stats.cameras[name].figures()
        if figures.detected or figures.state not in (State.LIVE, State.LATE, State.CORRUPT):
            return
        if (viewer := self.enter([name])) is None:
            return
        asked = self.stats.clock.monotonic()
        try:
            while (waited := self.stats.clock.monotonic() - asked) < _PATIENCE and not self.closed:
                view = self._newest(name)
                if view is not None and view.result.frame.captured > asked - _TURN:
                    return
                await viewer.wait(min(_TURN, _PATIENCE - waited))
        finally:
            self.leave(viewer)

    def enter(self, names: Iterable[str] = ()) -> Viewer | None:
        """A new viewer of those cameras; None when there are as many as allowed."""
        viewer = Viewer(self.stats.clock)
        viewer.names = frozenset(names)
        with self._lock:
            if self.closed or self._full():
                return None
            self._viewers.add(viewer)
        return viewer

    def admit(self, name: str, place: str) -> bool:
        """An HLS player at that address asks for a camera; False if it is one too many."""
        with self._lock:
            return not self.closed and self.broadcasts[name].ask(place, self._full())

    def watch(self, viewer: Viewer, names: Iterable[str], direct: Iterable[str] = ()) -> None:
        """The viewer now looks at those cameras, `direct` ones as they send; unknown ones are ignored."""
        direct = frozenset(direct)
        self.relay.follow(viewer.feed, direct)
        with self._lock:
            viewer.names = (frozenset(names) | direct) & self.stats.cameras.keys()
        viewer.wake()

    def leave(self, viewer: Viewer) -> None:
        """The viewer has gone."""
        self.relay.follow(viewer.feed, ())
        with self._lock:
            self._viewers.discard(viewer)

    def close(self) -> None:
        """Let every viewer go and take no new one."""
        with self._lock:
            self.closed = True
            viewers = list(self._viewers)
        self._wake(viewers)

    def viewers(self, name: str = "") -> int:
        """How many look, at that camera if one is named."""
        with self._lock:
            pages = sum(not name or name in viewer.names for viewer in self._viewers)
        return pages + sum(each.players for camera, each in self.broadcasts.items() if name in ("", camera))

    def shot(self, name: str) -> Shot | None:
        """The newest view of a camera as a JPEG, encoded now if it was not yet; None before the first."""
        view = self._newest(name)
        return None if view is None else self._shoot(view)

    def judged(self, name: str) -> tuple[View | None, float | None, Verdict]:
        """The newest view of a camera, its age in seconds, and what to say about it."""
        view = self._newest(name)
        clock = self.stats.clock
        age = None if view is None else max(0.0, clock.monotonic() - view.result.frame.captured)
        live = view is None or view.live
        return view, age, verdict(self.stats.cameras[name].figures(), clock.now(), age, live)

    def _newest(self, name: str) -> View | None:
        """The newest view of a camera, but none that is long out of date because nobody looked."""
        with self._lock:
            view = self._views.get(name)
        if view is None or view.result.detected:
            return view
        camera = self.stats.cameras[name].figures().age or 0.0
        return view if self.stats.clock.monotonic() - view.result.frame.captured - camera <= OLD else None

    def honest(self, name: str) -> bytes:
        """A JPEG for one who cannot see the page's own badges: the newest picture, dimmed with the reason if stale."""
        view, _, found = self.judged(name)
        if view is not None and not found.stale:
            return self._shoot(view).jpeg
        with self._encoding:
            known = self._dimmed.get(name)
            if known is None or known[0] is not view or known[1] != found.text:
                image = blank(640, 360, found, name) if view is None else stale(view.image(), found, name)
                known = self._dimmed[name] = (view, found.text, self._encode(image))
            return known[2]

    def numbers(self) -> dict[str, Any]:
        """All cameras and the count of viewers."""
        return {"cameras": [self.card(name) for name in self.stats.cameras], "viewers": self.viewers()}

    def numbers_text(self) -> str:
        """The same as JSON, at most a quarter of a second old: made once for all pages."""
        now = self.stats.clock.monotonic()
        if not self._numbers[1] or now - self._numbers[0] > _NUMBERS_AGE:
            self._numbers = now, json.dumps(self.numbers(), separators=(",", ":"))
        return self._numbers[1]

    def card(self, name: str) -> dict[str, Any]:
        """What is known of a camera, for JSON."""
        view, age, found = self.judged(name)
        figures = self.stats.cameras[name].figures()
        size = None if view is None else (view.result.frame.picture.width, view.result.frame.picture.height)
        live = figures.live and (view is None or view.live)
        if not figures.detected:
            # Pictures may rest unseen, but not the camera.
            age, size = figures.age, self.relay.size(name) or size
            found = verdict(figures, self.stats.clock.now(), age, live)
        direct = self._direct(figures, live)
        viewers = self.viewers(name)
        told = card(figures, found, age=age, live=live, size=size, viewers=viewers, direct=direct)
        hls = self.stream_address(name) if name in self.broadcasts else None
        return told | {"clip_s": self._reach(name), "hls": hls}

    def standing(self, name: str) -> Verdict:
        """What to say about a camera, whether or not anybody was shown a picture of it."""
        figures = self.stats.cameras[name].figures()
        return verdict(figures, self.stats.clock.now(), figures.age, figures.live)

    def _full(self) -> bool:
        return len(self._viewers) + sum(each.players for each in self.broadcasts.values()) >= self._most

    def _direct(self, figures: CameraFigures, live: bool) -> dict[str, Any] | None:
        """How the camera's own pictures are: these are judged by their own age, for they do not wait for boxes."""
        offer = self.relay.offer(figures.name)
        if offer is None:
            return None
        codec, hold, age = offer
        found = verdict(figures, self.stats.clock.now(), age, live)
        overlay = self.overlays.get(figures.name, config.Overlay())
        return {
            "codec": codec,
            "hold_ms": round(hold * 1e3),
            "level": found.level.value,
            "text": found.text,
            "stale": found.stale,
            "boxes": overlay.enabled and overlay.boxes,
            "labels": overlay.enabled and overlay.labels,
        }

    def _wake(self, viewers: list[Viewer]) -> None:
        if self._loop is None or not viewers:
            return
        try:
            for viewer in viewers:
                self._loop.call_soon_threadsafe(viewer.wake)
        except RuntimeError:
            # The loop has ended, and with it every viewer.
            self._loop = None

    def _shoot(self, view: View) -> Shot:
        name = view.result.frame.camera
        with self._encoding:
            known = self._shots.get(name)
            if known is None or known.view is not view:
                known = self._shots[name] = Shot(view, self._encode(view.annotated()))
            return known

    def _encode(self, image: Image) -> bytes:
        with self.stats.timed("jpeg"):
            done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not done:
            raise OutputError(f"cannot encode a picture of {image.shape[1]}x{image.shape[0]} as JPEG for the page")
        return data.tobytes()
