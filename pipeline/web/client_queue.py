"""The queue of one page: bounded, and never a picture without the ones it needs."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pipeline.clock import Clock

from . import limits


class Message(NamedTuple):
    """A compressed picture, or the detections in one, packed once for all pages."""

    camera: str
    number: int
    """Counts a camera's messages."""
    key: bool
    """Whether decoding can start here."""
    wire: bytes | str
    """As it goes over the WebSocket: pictures as bytes, detections as text."""


class ClientQueue:
    """A page's messages, used on the server's event loop only.

    A page that falls behind loses all that waits and goes on at each camera's next keyframe; no other page notices.
    """

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._waiting: deque[tuple[float, Message]] = deque()
        self._bytes = 0
        self._joined: dict[str, int] = {}
        self._without_keyframe: set[str] = set()
        self.skips = 0
        """How often the page fell behind."""

    @property
    def cameras(self) -> set[str]:
        """The cameras whose pictures go to this page."""
        return set(self._joined)

    def join(self, camera: str, recent: Sequence[Message], number: int) -> None:
        """Send a camera from its newest keyframe on; `number` is that of its newest message."""
        self._joined[camera] = number
        if not recent:
            self._without_keyframe.add(camera)
        for message in recent:
            self._append(message)
        self._wake()

    def leave(self, camera: str) -> None:
        """Send no more of a camera."""
        self._joined.pop(camera, None)
        self._without_keyframe.discard(camera)
        self._waiting = deque(entry for entry in self._waiting if entry[1].camera != camera)
        self._bytes = sum(len(message.wire) for _, message in self._waiting)

    def push(self, message: Message) -> None:
        """Add a camera's next message, unless the page waits for a keyframe or has it already."""
        if message.number <= self._joined.get(message.camera, message.number):
            return
        if self._waiting and self._is_behind(message):
            self._waiting.clear()
            self._bytes = 0
            self._without_keyframe = self.cameras
            self.skips += 1
        if message.camera in self._without_keyframe:
            if not message.key:
                return
            self._without_keyframe.discard(message.camera)
        self._append(message)
        self._wake()

    def take(self) -> bytes | str | None:
        """Return the next message to send; None when there is none."""
        if not self._waiting:
            return None
        _, message = self._waiting.popleft()
        self._bytes -= len(message.wire)
        return message.wire

    def _is_behind(self, message: Message) -> bool:
        waited = self._clock.monotonic() - self._waiting[0][0]
        return waited > limits.MAX_QUEUE_WAIT_S or self._bytes + len(message.wire) > limits.MAX_QUEUE_BYTES

    def _append(self, message: Message) -> None:
        self._waiting.append((self._clock.monotonic(), message))
        self._bytes += len(message.wire)


def binary_message(header: dict[str, Any], body: bytes) -> bytes:
    """Pack one binary message: four bytes of length, a JSON header of that length, the body."""
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(4, "big"), text, body))
