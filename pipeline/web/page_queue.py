"""What one page has yet to be sent: bounded, and never a picture without the ones it needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pipeline.clock import Clock

from . import limits


class Message(NamedTuple):
    """A compressed picture, or word of what was found in one, packed once for all pages."""

    camera: str
    number: int
    """Counts a camera's messages."""
    key: bool
    """Whether decoding can start here."""
    wire: bytes | str
    """As it goes over the WebSocket: pictures as bytes, words as text."""


class Feed:
    """A page's queue, used on the server's event loop only.

    Who falls behind loses all that waits and goes on at each camera's next keyframe; nobody else notices.
    """

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._queue: deque[tuple[float, Message]] = deque()
        self._bytes = 0
        self._joined: dict[str, int] = {}
        self._waiting: set[str] = set()
        self.skips = 0
        """How often the page fell behind."""

    @property
    def cameras(self) -> set[str]:
        """Those whose pictures go to this page."""
        return set(self._joined)

    def join(self, camera: str, past: Sequence[Message], number: int) -> None:
        """Send a camera from its newest keyframe on; `number` is that of its newest message."""
        self._joined[camera] = number
        if not past:
            self._waiting.add(camera)
        for message in past:
            self._append(message)
        self._wake()

    def leave(self, camera: str) -> None:
        """Send no more of a camera."""
        self._joined.pop(camera, None)
        self._waiting.discard(camera)
        self._queue = deque(each for each in self._queue if each[1].camera != camera)
        self._bytes = sum(len(each[1].wire) for each in self._queue)

    def push(self, message: Message) -> None:
        """Add a camera's next message, unless the page waits for a keyframe or has it already."""
        if message.number <= self._joined.get(message.camera, message.number):
            return
        if self._queue and self._is_behind(message):
            self._queue.clear()
            self._bytes = 0
            self._waiting = self.cameras
            self.skips += 1
        if message.camera in self._waiting:
            if not message.key:
                return
            self._waiting.discard(message.camera)
        self._append(message)
        self._wake()

    def take(self) -> bytes | str | None:
        """The next message to send; None when there is none."""
        if not self._queue:
            return None
        _, message = self._queue.popleft()
        self._bytes -= len(message.wire)
        return message.wire

    def _is_behind(self, message: Message) -> bool:
        waited = self._clock.monotonic() - self._queue[0][0]
        return waited > limits.MAX_QUEUE_WAIT_S or self._bytes + len(message.wire) > limits.MAX_QUEUE_BYTES

    def _append(self, message: Message) -> None:
        self._queue.append((self._clock.monotonic(), message))
        self._bytes += len(message.wire)
