"""The contract of every source: open, read one picture at a time, close."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from pipeline.clock import Clock
from pipeline.config.cameras import Capture
from pipeline.frames import Packet, Picture, Sound


class Sample(NamedTuple):
    """One picture as the source gave it."""

    picture: Picture | None
    """None where it was not unpacked, because that is not wanted or cannot be done."""
    pts: float | None
    """Seconds on the source's own timeline; None where it has none."""
    decode: float
    """Seconds spent in unpacking it, waiting for data not included."""
    damaged: bool = False
    """Whether data that it is made of was lost or damaged, so that it must not be believed."""


class Source(Protocol):
    """A giver of pictures; used by one thread, never retries, raises SourceError."""

    live: bool
    """Whether pictures are lost if nobody reads them in time: cameras are, files are not."""
    local: bool
    """Whether it is on this machine, so that failing at the first opening is a mistake to report, not to retry."""
    gives_packets: bool
    """Whether it reads compressed pictures that can be kept and passed on as they are.

    One that does turns and stretches them itself as the configuration asks; the pictures of others are turned later.
    """
    fps: float
    """Declared frames a second, or 0 where unknown."""
    description: str
    """What was negotiated, such as `h264 1280x720 over tcp`; empty before opening."""
    tap: Callable[[Packet], None] | None
    """Hears every compressed picture, with an empty camera, during `read` and before it is decoded; None costs nothing.

    A source that does not give packets never calls it.
    """
    wanted: Callable[[], bool] | None
    """Asked at each picture whether it is wanted: where not, it is read but not unpacked. None: all are wanted.

    The first picture after opening is unpacked in any case.
    """

    def open(self) -> None:
        """Connect and learn the format, within the configured time."""
        ...

    def read(self) -> Sample | None:
        """Return the next picture, waiting no longer than the configured time; None at the end of a file."""
        ...

    def close(self) -> None:
        """Let go of everything; harmless when called twice or before opening."""
        ...


@runtime_checkable
class SoundSource(Protocol):
    """A source that can read sound beside the pictures."""

    sound_tap: Callable[[Sound], None] | None
    """Hears every piece of sound, with an empty camera, during `read`; set before `open`. None: it is not asked for."""


class SourceClass(Protocol):
    """The maker of sources for one kind of address: a class by its class methods."""

    gives_packets: bool
    """Whether its sources read compressed pictures, as in `Source`."""

    def check(self, address: str) -> None:
        """See at no cost whether an address can be of any use; raises SourceError."""
        ...

    def from_address(
        self, address: str, settings: Capture, stopping: threading.Event | None, clock: Clock | None
    ) -> Source:
        """Make a source that is not yet opened; a wait inside it ends soon after `stopping` is set."""
        ...
