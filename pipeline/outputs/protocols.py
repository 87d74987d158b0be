"""What every output does, and the view of a result that they share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol, runtime_checkable

from pipeline.frames import Frame, Image, Packet, Result


class View:
    """A result as outputs see it: the overlay is drawn once, by the first output that wants it."""

    def __init__(self, result: Result, captured_at: datetime, draw: Callable[[Result], Image], live: bool) -> None:
        self.result = result
        self.captured_at = captured_at
        """UTC wall time of the capture."""
        self.live = live
        """Whether the source is a camera rather than a file."""
        self._draw = draw
        self._lock = threading.Lock()
        self._painted: Image | None = None
        self._claimed = False

    def plain(self) -> Image:
        """The picture without overlay: height x width x 3, BGR, not writeable."""
        return self.result.frame.picture.bgr()

    def painted(self) -> Image:
        """The picture with overlay: height x width x 3, BGR, not writeable."""
        with self._lock:
            if self._painted is None:
                self._painted = self._draw(self.result)
                self._painted.flags.writeable = False
            return self._painted

    def claim(self) -> bool:
        """True for the first output that has shown this view, False for all later ones."""
        with self._lock:
            first, self._claimed = not self._claimed, True
            return first


class Output(Protocol):
    """One place that results go to; all calls come from one thread."""

    name: str
    """Short name for threads, statistics and messages, such as `web` or `video`."""

    def open(self) -> None:
        """Take what it needs (port, file, window); raises OutputError in one line."""
        ...

    def show(self, view: View) -> bool:
        """Take one view; True if it really went somewhere (a viewer, a file, the screen)."""
        ...

    def poll(self) -> bool:
        """Do what time asks for though no view comes, a few times a second; False when the user wants to quit."""
        ...

    def close(self) -> None:
        """Finish files, let viewers go; harmless when called twice."""
        ...


@runtime_checkable
class PacketOutput(Protocol):
    """An output that also wants the compressed pictures of the cameras."""

    def packet(self, packet: Packet) -> None:
        """Take one, from its camera's thread, at once: a queue inside keeps what cannot go on yet."""
        ...


@runtime_checkable
class SparingOutput(Protocol):
    """An output that can do without pictures at times; every other one has a use for all."""

    def wants(self, camera: str) -> bool:
        """Whether it has a use for a camera's pictures now, asked before each is decoded; it must not wait."""
        ...


@runtime_checkable
class PromptOutput(Protocol):
    """An output that wants word of every frame at once, beside the views of its queue; neither call may wait."""

    def found(self, result: Result) -> None:
        """A frame has its detections."""
        ...

    def missed(self, frame: Frame) -> None:
        """A frame will have none: it gave way to a newer one."""
        ...
