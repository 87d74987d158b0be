"""Compressed pictures that wait: bounded, never blocking, and never a picture without the ones it needs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from pipeline.frames import Packet, Sound

_MAX_QUEUE_BYTES = 32_000_000
_MAX_PACKET_COUNT = 3000


class Boxes(NamedTuple):
    """The detections in one picture, on its way to the file that holds the picture."""

    camera: str
    pts: float | None
    """That of the picture's packet."""
    event: dict[str, object]


class Backlog:
    """Many writers, one reader; who falls behind loses a camera's whole backlog and goes on at its next keyframe."""

    def __init__(self, lost: Callable[[], None] = lambda: None, most: int = _MAX_QUEUE_BYTES) -> None:
        """Hold `most` bytes; `lost` hears of every packet that nobody will read."""
        self._changed = threading.Condition()
        self._items: deque[Packet | Boxes | Sound] = deque()
        self._bytes = 0
        self._most = most
        self._lost = lost
        self._waiting: set[str] = set()
        self._closed = False

    def put(self, item: Packet | Boxes | Sound) -> None:
        """Add one, at once."""
        lost = 0
        with self._changed:
            if self._closed:
                return
            if isinstance(item, Packet):
                if item.key:
                    self._waiting.discard(item.camera)
                full = self._bytes + len(item.data) > self._most or len(self._items) >= _MAX_PACKET_COUNT
                if full and item.camera not in self._waiting:
                    lost += self._drop(item.camera)
                    if not item.key:
                        self._waiting.add(item.camera)
                if item.camera in self._waiting:
                    lost += 1
                else:
                    self._bytes += len(item.data)
                    self._items.append(item)
            elif len(self._items) < 2 * _MAX_PACKET_COUNT:
                self._items.append(item)
            self._changed.notify()
        for _ in range(lost):
            self._lost()

    def get(self, timeout: float) -> Packet | Boxes | Sound | None:
        """Return the next one; None after `timeout` seconds, or when it is closed and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, Packet):
                self._bytes -= len(item.data)
            return item

    def skip(self, camera: str = "") -> None:
        """Forget what waits of a camera, or of all, and go on at the next keyframe of each; it counts as lost."""
        with self._changed:
            cameras = {camera} if camera else {item.camera for item in self._items}
            lost = sum(self._drop(each) for each in cameras)
            self._waiting |= cameras
        for _ in range(lost):
            self._lost()

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._items

    @property
    def ended(self) -> bool:
        """Whether it is closed and empty."""
        with self._changed:
            return self._closed and not self._items

    def close(self) -> None:
        """Take no more; what waits is still read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _drop(self, camera: str) -> int:
        kept = [item for item in self._items if item.camera != camera]
        lost = sum(isinstance(item, Packet) and item.camera == camera for item in self._items)
        self._items = deque(kept)
        self._bytes = sum(len(item.data) for item in kept if isinstance(item, Packet))
        return lost
