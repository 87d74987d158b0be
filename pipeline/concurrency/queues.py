"""Bounded hand-offs between threads: many lanes in, one reader, nobody starves.

A lane either blocks its writer when full (files: nothing is lost) or drops its oldest item
(live: the newest counts). Every item that will never be read is reported with its reason.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Lane(Generic[T]):
    """One writer's way into a Funnel; made by `Funnel.lane`."""

    def __init__(self, changed: threading.Condition, capacity: int, latest: bool, dropped: Callable[[T, str], None]):
        self._changed = changed
        self._capacity = capacity
        self.latest = latest
        self._dropped = dropped
        self.items: deque[T] = deque()
        self.closed = False

    def put(self, item: T) -> bool:
        """Hand over one item; False means nobody will read it or any later one: stop writing."""
        stale: list[T] = []
        with self._changed:
            while not self.closed and len(self.items) >= self._capacity:
                if self.latest:
                    stale.append(self.items.popleft())
                else:
                    self._changed.wait()
            accepted = not self.closed
            if accepted:
                self.items.append(item)
                self._changed.notify_all()
        for old in stale:
            self._dropped(old, "stale")
        if not accepted:
            self._dropped(item, "stopped")
        return accepted

    def close(self, *, discard: bool = False) -> None:
        """Take no more items; what waits is still read unless `discard`. Closing twice is harmless."""
        with self._changed:
            self.closed = True
            left = list(self.items) if discard else []
            if discard:
                self.items.clear()
            self._changed.notify_all()
        for item in left:
            self._dropped(item, "stopped")


class Funnel(Generic[T]):
    """Any number of lanes read by one thread, the longest unserved lane first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lanes: deque[Lane[T]] = deque()
        self._closed = False

    def lane(
        self, capacity: int = 1, *, latest: bool = False, dropped: Callable[[T, str], None] = lambda item, reason: None
    ) -> Lane[T]:
        """Make a new way in; `dropped(item, "stale" | "stopped")` hears of each item that nobody will read."""
        made: Lane[T] = Lane(self._changed, capacity, latest, dropped)
        with self._changed:
            made.closed = self._closed
            self._lanes.append(made)
        return made

    def get(self, timeout: float | None = None, *, latest_only: bool = False) -> T | None:
        """Return the next item; None when all lanes are closed and empty, or after `timeout` seconds.

        With `latest_only` those of lanes that lose nothing stay where they are.
        """
        with self._changed:
            self._changed.wait_for(lambda: self.ended or any(self._readable(latest_only)), timeout)
            return self._next(latest_only)

    def get_nowait(self) -> T | None:
        """Return the next item if one is there."""
        with self._changed:
            return self._next()

    def _readable(self, latest_only: bool = False) -> Iterator[Lane[T]]:
        return (lane for lane in self._lanes if lane.items and (lane.latest or not latest_only))

    def _next(self, latest_only: bool = False) -> T | None:
        lane = next(self._readable(latest_only), None)
        if lane is None:
            return None
        self._lanes.remove(lane)
        self._lanes.append(lane)
        item = lane.items.popleft()
        self._changed.notify_all()
        return item

    @property
    def ended(self) -> bool:
        """Whether every lane is closed and read to its end."""
        return (self._closed or bool(self._lanes)) and all(lane.closed and not lane.items for lane in self._lanes)

    def close(self, *, discard: bool = False) -> None:
        """Close every lane, and those made later; with `discard` nothing more is read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            lanes = list(self._lanes)
        for lane in lanes:
            lane.close(discard=discard)

    def __iter__(self) -> Iterator[T]:
        while (item := self.get()) is not None:
            yield item


class Channel(Generic[T]):
    """A funnel of one lane: one writer, one reader."""

    def __init__(self, capacity: int) -> None:
        self._funnel: Funnel[T] = Funnel()
        self._lane = self._funnel.lane(capacity)

    def put(self, item: T) -> bool:
        """Hand over one item, waiting for room; False once the channel is closed."""
        return self._lane.put(item)

    def get(self, timeout: float | None = None) -> T | None:
        """Return the next item; None when the channel is closed and empty, or after `timeout` seconds."""
        return self._funnel.get(timeout)

    def close(self, *, discard: bool = False) -> None:
        """Take no more items; what waits is still read unless `discard`."""
        self._lane.close(discard=discard)

    def __iter__(self) -> Iterator[T]:
        return iter(self._funnel)
