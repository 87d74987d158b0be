"""The outputs of a run: which there are, how they are opened, and what they ask of the other stages."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial

from pipeline.config.cameras import Camera
from pipeline.config.file_claims import FileClaims
from pipeline.config.outputs import OutputSettings, output_class
from pipeline.config.root import Output
from pipeline.draw.overlay import OverlayPainter
from pipeline.errors import OutputError
from pipeline.frames import Frame, Image, Packet, Result, Sound
from pipeline.notice import notify
from pipeline.outputs.clips.service import Clips, Recordings
from pipeline.outputs.dispatch import OutputWorker, drop_counter, frame_demand, packet_tap, sound_tap
from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.outputs.protocols import Output as Opened
from pipeline.outputs.protocols import OutputContext, View
from pipeline.outputs.window.display import display_available
from pipeline.outputs.window.settings import Window
from pipeline.stats.registry import Stats
from pipeline.web.settings import Web

from .cameras import Sources

log = logging.getLogger(__name__)

Start = Callable[[str, Callable[[], None]], None]


def open_output(settings: OutputSettings, context: OutputContext) -> Opened:
    """Make the output that the settings are of, not yet open."""
    output: Opened = output_class(settings.kind)(settings, context)
    return output


def chosen(outputs: tuple[Output, ...] | None) -> tuple[OutputSettings, ...]:
    """Return the settings of those that were asked for, else a window, or a page where there is no display."""
    if outputs is not None:
        return tuple(output.settings for output in outputs)
    return (Window() if display_available() else Web(),)


class Outputs:
    """The outputs of a run with their queues.

    Where to look is logged; `invite`, if given, hears a line with an address that lets one browser in without the
    token.
    """

    def __init__(
        self,
        cameras: Mapping[str, Camera],
        stats: Stats,
        start: Start,
        invite: Callable[[str], None] | None = None,
    ) -> None:
        self.workers: list[OutputWorker] = []
        """In the order of the configuration, the caller's own at the end."""
        self._cameras = cameras
        self._stats = stats
        self._start = start
        self._invite = invite

    def open(
        self,
        outputs: tuple[Output, ...] | None,
        sources: Sources,
        clips: Clips,
        claims: FileClaims,
        stopping: threading.Event,
    ) -> None:
        """Open them one after the other; raises OutputError."""
        settings = chosen(outputs)
        context = OutputContext(
            self._cameras,
            self._stats,
            self._start,
            packet_cameras=sources.giving_packets,
            file_cameras=sources.files,
            clips=clips,
            claims=claims,
            stopping=stopping,
            hls_streams=self._hls_streams(settings),
        )
        for each in settings:
            output = self._opened(each, context, asked_for=outputs is not None)
            self.workers.append(OutputWorker(output, self._stats, self.workers))

    @property
    def on_main_thread(self) -> OutputWorker | None:
        """The one that the main thread turns, if there is any."""
        return next((worker for worker in self.workers if worker.output.main_thread), None)

    @property
    def recordings(self) -> Recordings | None:
        """The recordings that clips are made of first, if any output makes some."""
        return next((made for worker in self.workers if (made := worker.output.recordings) is not None), None)

    @property
    def paced(self) -> bool:
        """Whether any of them is watched live."""
        return any(worker.output.paced for worker in self.workers)

    def tap(self, *more: Callable[[Packet], None]) -> Callable[[Packet], None] | None:
        """Return what hands every packet to all that take packets, and to `more`; None where none does."""
        return packet_tap(self.workers, *more)

    def sound(self) -> Callable[[Sound], None] | None:
        """Return what hands sound to all that take it; None where none does, so that no camera is asked for it."""
        return sound_tap(self.workers)

    @property
    def asks_for_clips(self) -> bool:
        """Whether clips may be asked for through any of them."""
        return any(worker.output.asks_for_clips for worker in self.workers)

    def wanted(self, camera: str) -> Callable[[], bool]:
        """Return what says whether any of them has a use for pictures of a camera now."""
        return partial(frame_demand(self.workers), camera)

    def dropped(self) -> Callable[[Frame, str], None]:
        """Return what counts every frame that will not be inferred, and tells those that want prompt word of it."""
        return drop_counter(self.workers, self._stats)

    def put(self, view: View) -> None:
        """Queue a view for each."""
        for worker in self.workers:
            worker.put(view)

    def put_picture(self, view: View) -> None:
        """Queue a view for those that show every picture."""
        for worker in self.workers:
            if worker.output.every_picture:
                worker.put(view)

    def put_answer(self, view: View) -> None:
        """Queue a view for the others, after its picture was shown."""
        for worker in self.workers:
            if not worker.output.every_picture:
                worker.put(view)

    def end(self, *, discard: bool = False) -> None:
        """Let them end when they have shown what waits, or at once with `discard`."""
        for worker in self.workers:
            worker.views.close(discard=discard)

    def close(self) -> Iterator[Exception]:
        """Close all, whatever each raises."""
        for worker in self.workers:
            try:
                worker.output.close()
            except Exception as error:
                yield error

    def _opened(self, settings: OutputSettings, context: OutputContext, *, asked_for: bool) -> Opened:
        output = open_output(settings, context)
        try:
            output.open()
        except OutputError:
            alternative = None if asked_for else settings.alternative()
            if alternative is None:
                raise
            output = open_output(alternative, context)
            output.open()
        for line in output.announcements():
            notify(log, line, output=output.name)
        if self._invite is not None and (line := output.invitation()):
            self._invite(line)
        return output

    def _hls_streams(self, settings: tuple[OutputSettings, ...]) -> dict[str, HlsStream]:
        if not any(each.makes_hls_streams for each in settings):
            return {}
        return {name: HlsStream(self._stats.clock) for name in self._cameras}


class Views:
    """Makes views of results; the overlay of a camera is drawn when the first output asks for it."""

    def __init__(self, cameras: Mapping[str, Camera], sources: Sources, stats: Stats) -> None:
        self._sources = sources
        self._stats = stats
        self._overlays = {
            name: OverlayPainter(camera.overlay, stats.cameras[name], stats.clock) for name, camera in cameras.items()
        }

    def of(self, result: Result) -> View:
        """Return the view of a result."""
        frame, clock = result.frame, self._stats.clock
        captured_at = clock.now() - timedelta(seconds=clock.monotonic() - frame.captured)
        return View(result, captured_at, self._draw, self._sources.live(frame.camera))

    def _draw(self, result: Result) -> Image:
        with self._stats.timed("overlay"):
            camera = result.frame.camera
            return self._overlays[camera].draw(result, self._sources.live(camera))
