"""The contract of outputs, and the view of a result that they share."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from pipeline.clock import Clock
from pipeline.config.file_claims import FileClaims
from pipeline.config.outputs import OutputSettings
from pipeline.frames import Frame, Image, Packet, Result, Sound
from pipeline.stats.registry import Stats

if TYPE_CHECKING:
    from pipeline.config.cameras import Camera

    from .clips.service import Clips, Recordings
    from .hls.live_stream import HlsStream


class View:
    """A result as outputs see it: the overlay is drawn once, for the first output that asks; safe from any thread."""

    def __init__(self, result: Result, captured_at: datetime, draw: Callable[[Result], Image], live: bool) -> None:
        self.result = result
        self.captured_at = captured_at
        """UTC wall time of the capture."""
        self.live = live
        """Whether the source is a camera rather than a file."""
        self._draw = draw
        self._lock = threading.Lock()
        self._annotated: Image | None = None
        self._is_shown = False

    def image(self) -> Image:
        """Return the picture without overlay: height x width x 3, BGR, not writeable."""
        return self.result.frame.picture.bgr()

    def annotated(self) -> Image:
        """Return the picture with overlay: height x width x 3, BGR, not writeable."""
        with self._lock:
            if self._annotated is None:
                self._annotated = self._draw(self.result)
                self._annotated.flags.writeable = False
            return self._annotated

    def mark_shown(self) -> bool:
        """Note that an output has shown it; True for the first one, False for all later ones."""
        with self._lock:
            is_first, self._is_shown = not self._is_shown, True
            return is_first


@dataclass(frozen=True)
class OutputContext:
    """The parts that an output may need of the run that it belongs to."""

    cameras: Mapping[str, Camera]
    """The settings of all cameras by their names."""
    stats: Stats
    """Counters of all cameras, and of this output: `stats.outputs[name]`."""
    start: Callable[[str, Callable[[], None]], None]
    """Starts a thread of that name; an exception in it ends the run, which ends when the thread has."""
    packet_cameras: frozenset[str] = frozenset()
    """Names of the cameras whose compressed pictures can be passed on as they are."""
    file_cameras: frozenset[str] = frozenset()
    """Names of the cameras that are files."""
    clips: Clips | None = None
    """Makes clips of all cameras."""
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set as soon as the run is to end."""
    claims: FileClaims = field(default_factory=FileClaims)
    """The files that belong to somebody, such as the cameras' sources."""
    hls_streams: Mapping[str, HlsStream] = field(default_factory=dict)
    """The live streams for HLS players by the names of their cameras; empty where none are asked for."""

    @property
    def clock(self) -> Clock:
        """The run's clock, by which frames are dated."""
        return self.stats.clock


class Output(ABC):
    """One place that results go to, made from its settings and an `OutputContext`; only `show` has to be written.

    All calls come from one thread. The attributes say what the run has to do for it; what else it can take is in the
    protocols below.
    """

    settings: ClassVar[type[OutputSettings]]
    """The class of its settings; only outputs of other distributions have to name it."""

    name: str
    """Short name for threads, statistics and messages, such as `web` or `video`."""
    paced: bool = False
    """Whether somebody watches it live, so that a file has to play at its own speed."""
    main_thread: bool = False
    """Whether it belongs to the main thread, as a window does; at most one output of a run can."""
    every_picture: bool = False
    """Whether it shows what the camera sees rather than what the detector says: where that does not keep up, it gets
    every picture, with boxes carried on, instead of those alone that were inferred."""
    asks_for_clips: bool = False
    """Whether clips may be asked for through it, so that the newest seconds of the cameras are kept."""

    def open(self) -> None:  # noqa: B027
        """Take what it needs (port, file, window); raises OutputError in one line."""

    @abstractmethod
    def show(self, view: View) -> bool:
        """Take one view; True if it really went somewhere (a viewer, a file, the screen)."""

    def poll(self) -> bool:
        """Do what time asks for though no view comes, a few times a second; False when the user wants to quit."""
        return True

    def close(self) -> None:  # noqa: B027
        """Finish files, let viewers go; harmless when called twice."""

    def reopen(self) -> None:
        """Take up work again some time after an error of any call: closed, and opened; raises what `open` does."""
        with suppress(Exception):
            self.close()
        self.open()

    def announcements(self) -> Iterable[str]:
        """Return the lines that say where to look, for whoever has started the run; called once, after `open`."""
        return ()

    def invitation(self) -> str:
        """Return a line with an address that lets one browser in, which is a secret; empty where none is needed."""
        return ""

    @property
    def recordings(self) -> Recordings | None:
        """Recordings of all cameras, of which clips can be made; None where it makes none."""
        return None


@runtime_checkable
class PacketOutput(Protocol):
    """An output that also takes the compressed pictures of the cameras."""

    takes_packets: bool
    """Whether it does so as it is configured."""

    def packet(self, packet: Packet) -> None:
        """Take one, from its camera's thread, at once: a queue inside keeps what cannot go on yet."""
        ...


@runtime_checkable
class SoundOutput(Protocol):
    """An output that also takes the compressed sound of the cameras."""

    takes_sound: bool
    """Whether it does so as it is configured."""

    def sound(self, sound: Sound) -> None:
        """Take a piece, from its camera's thread, at once."""
        ...


@runtime_checkable
class OnDemandOutput(Protocol):
    """An output that can do without pictures at times; every other one has a use for all."""

    def needs_frames(self, camera: str) -> bool:
        """Return whether it has a use for a camera's pictures now, asked before each is decoded; it must not wait."""
        ...


@runtime_checkable
class ResultListener(Protocol):
    """An output that receives every result immediately, outside its queue; neither call may wait."""

    def on_result(self, result: Result) -> None:
        """Take a result, from the thread that delivers it."""
        ...

    def on_drop(self, frame: Frame) -> None:
        """Take a frame that will have no result, because it gave way to a newer one; from its camera's thread."""
        ...
