"""The cameras' own compressed pictures on their way to pages, with the detections in each."""

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
from .client_queue import ClientQueue, Message, binary_message

_CLOCK_JUMP_S = 1.0
_DEFAULT_STEP_S = 1 / 30
_DELAY_SAMPLE_COUNT = 300
_DEFAULT_DELAY_S = 0.1
_HOLD_MARGIN_S = 0.05


class TimestampMap:
    """Gives every picture a stamp in microseconds and finds it again; a stamp never comes twice.

    Streams whose clock jumps, starts again or is silent go on where the wall clock says.
    """

    def __init__(self) -> None:
        self._shift = 0.0
        self._last: tuple[float, float] | None = None
        self._newest = -1
        self._stamps: dict[int, int] = {}
        self._unnamed: deque[int] = deque(maxlen=limits.MAX_STAMP_COUNT)

    def assign(self, packet: Packet) -> int:
        """Return the stamp of a new compressed picture, in microseconds."""
        pts = packet.pts
        if self._last is None:
            self._shift = 0.0 if pts is None else -pts
            self._last = (0.0 if pts is None else pts) - _DEFAULT_STEP_S, packet.captured - _DEFAULT_STEP_S
        last, captured = self._last
        elapsed = max(0.0, packet.captured - captured)
        shown = last + _DEFAULT_STEP_S if pts is None else pts
        stamp = round((shown + self._shift) * 1e6)
        if abs(shown - last) > _CLOCK_JUMP_S + elapsed or (packet.key and stamp <= self._newest):
            self._shift = (self._newest / 1e6) + max(_DEFAULT_STEP_S, elapsed) - shown
            self._stamps.clear()
            self._unnamed.clear()
            stamp = round((shown + self._shift) * 1e6)
        self._last = shown, packet.captured
        self._newest = max(self._newest, stamp)
        if pts is None:
            self._unnamed.append(stamp)
        else:
            self._stamps[_ticks(pts)] = stamp
            if len(self._stamps) > limits.MAX_STAMP_COUNT:
                self._stamps.pop(next(iter(self._stamps)))
        return stamp

    def take(self, pts: float | None) -> int | None:
        """Return the stamp of the picture with that time on its source's own line; each is found once."""
        if pts is None:
            return self._unnamed.popleft() if self._unnamed else None
        return self._stamps.pop(_ticks(pts), None)

    def discard_before(self, stamp: int) -> None:
        """Forget pictures without a time that come before `stamp`: they are not asked for any more."""
        while self._unnamed and self._unnamed[0] < stamp:
            self._unnamed.popleft()


def _ticks(pts: float) -> int:
    return round(pts * 1e6)


class PassthroughStream:
    """One camera: its messages since the newest keyframe, so that a page that joins has a picture at once."""

    def __init__(self) -> None:
        self.stamps = TimestampMap()
        self.codec = ""
        """The browser's name of the codec; empty where the pictures cannot go out as they are."""
        self.awaits_boxes = False
        """Whether anything has been looked for in its pictures, so that pages wait for a word on each."""
        self.turned = False
        """Whether pictures have to be turned or mirrored, which browsers do not do with what they decode."""
        self.size: tuple[int, int] | None = None
        """Width and height of the newest compressed picture as it is shown."""
        self.captured: float | None = None
        """Monotonic seconds of its capture."""
        self.number = 0
        """Number of the newest message."""
        self.recent: list[Message] = []
        """The messages since the newest keyframe."""
        self.recent_bytes = 0
        self.awaited: dict[int, float] = {}
        """Capture times, in monotonic seconds, of pictures that have no detections yet, by their stamps."""
        self.delays: deque[float] = deque(maxlen=_DELAY_SAMPLE_COUNT)
        """Seconds from capture to detections of the newest pictures."""
        self.queues: set[ClientQueue] = set()

    def hold(self) -> float:
        """Return the seconds a page should hold a picture for its boxes: 99 % of them come within that time."""
        delays = sorted(self.delays)
        slow = delays[int(len(delays) * 0.99)] if delays else _DEFAULT_DELAY_S
        return min(slow + _HOLD_MARGIN_S, limits.MAX_HOLD_S)


class Passthrough:
    """Packets and results in, messages to the queues of pages out; safe from any thread.

    Nothing is decoded, drawn or encoded here, and while no page watches only the newest keyframe's messages are kept.
    """

    def __init__(self, cameras: Iterable[str], clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._streams = {camera: PassthroughStream() for camera in cameras}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve queues on this event loop from now on."""
        self._loop = loop

    def packet(self, packet: Packet) -> None:
        """Take a camera's next compressed picture."""
        with self._lock:
            stream = self._streams[packet.camera]
            stream.size, stream.turned = packet.shown_size, packet.presentation.turned
            if packet.codec != "h264":
                stream.codec, stream.recent = "", []
                return
            stamp = stream.stamps.assign(packet)
            header: dict[str, Any] = {"camera": packet.camera, "pts": stamp, "at": round(packet.captured * 1e3, 1)}
            if packet.key:
                stream.codec = header["codec"] = codec_name(packet.data)
                header["key"] = True
                stream.recent, stream.recent_bytes = [], 0
            stream.captured = packet.captured
            stream.awaited[stamp] = packet.captured
            if len(stream.awaited) > limits.MAX_AWAITED_COUNT:
                stream.awaited.pop(next(iter(stream.awaited)))
            self._send(packet.camera, binary_message(header, packet.data), packet.key)

    def on_result(self, result: Result) -> None:
        """Send the detections in a picture, and that those before it which are still awaited were left out."""
        frame = result.frame
        with self._lock:
            stream = self._streams[frame.camera]
            width, height = frame.picture.width, frame.picture.height
            if not result.detected:
                if stream.awaits_boxes:
                    self._miss(frame)
                return
            stream.awaits_boxes = True
            if not stream.codec or (stamp := stream.stamps.take(frame.pts)) is None:
                return
            stream.stamps.discard_before(stamp)
            for earlier in [awaited for awaited in stream.awaited if awaited < stamp]:
                self._send_missed(frame.camera, earlier)
            captured = stream.awaited.pop(stamp, frame.captured)
            stream.delays.append(self._clock.monotonic() - captured)
            boxes = [
                [*(round(edge, 1) for edge in detection.box), round(detection.score, 3), detection.label]
                for detection in result.detections
            ]
            word: dict[str, object] = {"pts": stamp, "size": [width, height], "boxes": boxes}
            if result.carried_s is not None:
                word["carried"] = round(result.carried_s * 1e3)
            self._send_text(frame.camera, word)

    def on_drop(self, frame: Frame) -> None:
        """Send that the detector left a picture out."""
        with self._lock:
            self._miss(frame)

    def _miss(self, frame: Frame) -> None:
        stream = self._streams[frame.camera]
        if stream.codec and (stamp := stream.stamps.take(frame.pts)) is not None:
            self._send_missed(frame.camera, stamp)

    def offer(self, camera: str) -> tuple[str, float, float] | None:
        """Return the browser's name of the codec, the seconds to hold a picture, the age of the newest; None: JPEG."""
        with self._lock:
            stream = self._streams[camera]
            if not stream.codec or stream.turned or stream.captured is None:
                return None
            return stream.codec, stream.hold(), max(0.0, self._clock.monotonic() - stream.captured)

    def size(self, camera: str) -> tuple[int, int] | None:
        """Return width and height of a camera's newest compressed picture as shown; None where it gives none."""
        with self._lock:
            return self._streams[camera].size

    def watched(self, camera: str) -> bool:
        """Return whether any page is sent this camera's own pictures."""
        with self._lock:
            return bool(self._streams[camera].queues)

    def follow(self, queue: ClientQueue, cameras: Iterable[str]) -> None:
        """Send those cameras and no others to a queue; called on the event loop."""
        wanted = set(cameras) & self._streams.keys()
        with self._lock:
            for camera in queue.cameras - wanted:
                self._streams[camera].queues.discard(queue)
                queue.leave(camera)
            for camera in wanted - queue.cameras:
                stream = self._streams[camera]
                stream.queues.add(queue)
                queue.join(camera, stream.recent, stream.number)

    def _send_missed(self, camera: str, stamp: int) -> None:
        self._streams[camera].awaited.pop(stamp, None)
        self._send_text(camera, {"pts": stamp, "missed": True})

    def _send_text(self, camera: str, fields: dict[str, Any]) -> None:
        self._send(camera, json.dumps({"camera": camera, **fields}, separators=(",", ":")))

    def _send(self, camera: str, wire: bytes | str, key: bool = False) -> None:
        stream = self._streams[camera]
        stream.number += 1
        message = Message(camera, stream.number, key, wire)
        # A stream whose keyframes are too far apart is not kept: pages then wait for the next one.
        if key or stream.recent:
            stream.recent.append(message)
            stream.recent_bytes += len(wire)
            if stream.recent_bytes > limits.MAX_KEPT_BYTES:
                stream.recent, stream.recent_bytes = [], 0
        if stream.queues and self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._push, message)
            except RuntimeError:
                # The loop has ended, and with it every page.
                self._loop = None

    def _push(self, message: Message) -> None:
        with self._lock:
            queues = list(self._streams[message.camera].queues)
        for queue in queues:
            queue.push(message)
