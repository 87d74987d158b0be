"""The cameras' own compressed pictures on their way to pages, with word of what was found in each."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterable
from typing import Any

from pipeline.clock import Clock
from pipeline.frames import Frame, Packet, Result
from pipeline.media.nal import codec_name

from . import limits
from .page_queue import Feed, Message

_JUMP = 1.0
_STEP = 1 / 30
_KEPT = 900


class TimestampMap:
    """Gives every picture a stamp in microseconds and finds it again; a stamp never comes twice.

    Streams whose clock jumps, starts again or is silent go on where the wall clock says.
    """

    def __init__(self) -> None:
        self._shift = 0.0
        self._last: tuple[float, float] | None = None
        self._newest = -1
        self._stamps: dict[int, int] = {}
        self._unnamed: deque[int] = deque(maxlen=_KEPT)

    def place(self, packet: Packet) -> int:
        """The stamp of a compressed picture, in microseconds."""
        pts = packet.pts
        if self._last is None:
            self._shift = 0.0 if pts is None else -pts
            self._last = (0.0 if pts is None else pts) - _STEP, packet.captured - _STEP
        last, read = self._last
        elapsed = max(0.0, packet.captured - read)
        shown = last + _STEP if pts is None else pts
        stamp = round((shown + self._shift) * 1e6)
        if abs(shown - last) > _JUMP + elapsed or (packet.key and stamp <= self._newest):
            self._shift = (self._newest / 1e6) + max(_STEP, elapsed) - shown
            self._stamps.clear()
            self._unnamed.clear()
            stamp = round((shown + self._shift) * 1e6)
        self._last = shown, packet.captured
        self._newest = max(self._newest, stamp)
        if pts is None:
            self._unnamed.append(stamp)
        else:
            self._stamps[_ticks(pts)] = stamp
            if len(self._stamps) > _KEPT:
                self._stamps.pop(next(iter(self._stamps)))
        return stamp

    def find(self, pts: float | None) -> int | None:
        """The stamp of the picture with that time on its source's own line; each is found once."""
        if pts is None:
            return self._unnamed.popleft() if self._unnamed else None
        return self._stamps.pop(_ticks(pts), None)

    def settle(self, stamp: int) -> None:
        """Pictures without a time that come before `stamp` are not asked for any more."""
        while self._unnamed and self._unnamed[0] < stamp:
            self._unnamed.popleft()


def _ticks(pts: float) -> int:
    return round(pts * 1e6)


_MOST_AWAITED = 300
_NO_DELAYS = 0.1
_MARGIN = 0.05
_LONGEST_HOLD = 0.5


class PassthroughStream:
    """One camera: its messages since the newest keyframe, so that a page that joins has a picture at once."""

    def __init__(self) -> None:
        self.stamps = TimestampMap()
        self.codec = ""
        """The browser's name of the codec; empty where the pictures cannot go out as they are."""
        self.turned = False
        self.size: tuple[int, int] | None = None
        self.captured: float | None = None
        self.number = 0
        self.past: list[Message] = []
        self.bytes = 0
        self.awaited: dict[int, float] = {}
        self.delays: deque[float] = deque(maxlen=300)
        self.feeds: set[Feed] = set()

    def hold(self) -> float:
        """Seconds a page should hold a picture for its boxes: 99 % of them come within that time."""
        delays = sorted(self.delays)
        slow = delays[int(len(delays) * 0.99)] if delays else _NO_DELAYS
        return min(slow + _MARGIN, _LONGEST_HOLD)


class Passthrough:
    """Packets and results in, messages to the feeds of pages out; safe from any thread.

    Nothing is decoded, drawn or encoded here, and while no page watches only the newest keyframe's messages are kept.
    """

    def __init__(self, cameras: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._reels = {name: PassthroughStream() for name in cameras}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve feeds on this event loop from now on."""
        self._loop = loop

    def packet(self, packet: Packet) -> None:
        """Take a camera's next compressed picture."""
        with self._lock:
            reel = self._reels[packet.camera]
            reel.size = packet.width, packet.height
            if packet.codec != "h264":
                reel.codec, reel.past = "", []
                return
            stamp = reel.stamps.place(packet)
            header: dict[str, Any] = {"camera": packet.camera, "pts": stamp, "at": round(packet.captured * 1e3, 1)}
            if packet.key:
                reel.codec = header["codec"] = codec_name(packet.data)
                header["key"] = True
                reel.past, reel.bytes = [], 0
            reel.captured = packet.captured
            reel.awaited[stamp] = packet.captured
            if len(reel.awaited) > _MOST_AWAITED:
                reel.awaited.pop(next(iter(reel.awaited)))
            self._send(packet.camera, framed(header, packet.data), packet.key)

    def found(self, result: Result) -> None:
        """Tell what was found in a picture, and that those before it which are still awaited were left out."""
        frame = result.frame
        with self._lock:
            reel = self._reels[frame.camera]
            width, height = frame.picture.width, frame.picture.height
            # Browsers do not turn what they decode as the stream asks.
            reel.turned = frame.picture.turned
            if not result.detected:
                return
            if not reel.codec or (stamp := reel.stamps.find(frame.pts)) is None:
                return
            reel.stamps.settle(stamp)
            for late in [each for each in reel.awaited if each < stamp]:
                self._miss(frame.camera, late)
            captured = reel.awaited.pop(stamp, frame.captured)
            reel.delays.append(self._clock.monotonic() - captured)
            boxes = [
                [*(round(edge, 1) for edge in each.box), round(each.score, 3), each.label] for each in result.detections
            ]
            self._say(frame.camera, {"pts": stamp, "size": [width, height], "boxes": boxes})

    def missed(self, frame: Frame) -> None:
        """Tell that the detector left a picture out."""
        with self._lock:
            reel = self._reels[frame.camera]
            if reel.codec and (stamp := reel.stamps.find(frame.pts)) is not None:
                self._miss(frame.camera, stamp)

    def offer(self, camera: str) -> tuple[str, float, float] | None:
        """A camera's codec as browsers call it, seconds to hold a picture, age of the newest; None: JPEG only."""
        with self._lock:
            reel = self._reels[camera]
            if not reel.codec or reel.turned or reel.captured is None:
                return None
            return reel.codec, reel.hold(), max(0.0, self._clock.monotonic() - reel.captured)

    def size(self, camera: str) -> tuple[int, int] | None:
        """Width and height of a camera's newest compressed picture; None where it gives none."""
        with self._lock:
            return self._reels[camera].size

    def watched(self, camera: str) -> bool:
        """Whether any page is sent this camera's own pictures."""
        with self._lock:
            return bool(self._reels[camera].feeds)

    def follow(self, feed: Feed, cameras: Iterable[str]) -> None:
        """Send a feed those cameras and no others; called on the event loop."""
        wanted = set(cameras) & self._reels.keys()
        with self._lock:
            for name in feed.cameras - wanted:
                self._reels[name].feeds.discard(feed)
                feed.leave(name)
            for name in wanted - feed.cameras:
                reel = self._reels[name]
                reel.feeds.add(feed)
                feed.join(name, reel.past, reel.number)

    def _miss(self, camera: str, stamp: int) -> None:
        self._reels[camera].awaited.pop(stamp, None)
        self._say(camera, {"pts": stamp, "missed": True})

    def _say(self, camera: str, words: dict[str, Any]) -> None:
        self._send(camera, json.dumps({"camera": camera, **words}, separators=(",", ":")))

    def _send(self, camera: str, wire: bytes | str, key: bool = False) -> None:
        reel = self._reels[camera]
        reel.number += 1
        message = Message(camera, reel.number, key, wire)
        # A stream whose keyframes are too far apart is not kept: pages then wait for the next one.
        if key or reel.past:
            reel.past.append(message)
            reel.bytes += len(wire)
            if reel.bytes > limits.MAX_KEPT_BYTES:
                reel.past, reel.bytes = [], 0
        if reel.feeds and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._spread, message)
            except RuntimeError:
                # The loop has ended, and with it every page.
                self._loop = None

    def _spread(self, message: Message) -> None:
        with self._lock:
            feeds = list(self._reels[message.camera].feeds)
        for feed in feeds:
            feed.push(message)


def framed(header: dict[str, Any], body: bytes) -> bytes:
    """One binary message: four bytes of length, a JSON header of that length, the body."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(4, "big"), text, body))
