"""The cameras of a run: the source of each, and the loop that reads it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from pipeline.capture import check_source, open_source
from pipeline.capture.source import Source
from pipeline.capture.worker import CaptureWorker, FrameSink
from pipeline.config.cameras import Camera
from pipeline.frames import Packet, Sound
from pipeline.stats.registry import Stats


class Sources:
    """The sources of all cameras by their names, not yet open, and what the other stages have to know of them."""

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        self._cameras = cameras
        self._halts = {name: threading.Event() for name in cameras}
        self._sources: dict[str, Source] = {
            name: open_source(camera.source, camera.capture, self._halts[name]) for name, camera in cameras.items()
        }

    def check(self) -> None:
        """See at no cost whether the addresses can be of any use; raises SourceError."""
        for camera in self._cameras.values():
            check_source(camera.source)

    @property
    def giving_packets(self) -> frozenset[str]:
        """Names of the cameras whose compressed pictures can be passed on as they are."""
        return frozenset(name for name, source in self._sources.items() if source.gives_packets)

    @property
    def files(self) -> frozenset[str]:
        """Names of the cameras that are files, rehearsed ones included."""
        return frozenset(name for name, source in self._sources.items() if source.local and source.gives_packets)

    @property
    def kept(self) -> dict[str, float]:
        """Seconds of packets to keep in memory for clips, of each camera that gives any."""
        return {name: self._cameras[name].capture.keep for name in self.giving_packets}

    def live(self, camera: str) -> bool:
        """Tell whether a camera is one rather than a file."""
        return self._sources[camera].live

    def halt(self, camera: str) -> None:
        """End a camera's loop soon."""
        self._halts[camera].set()

    def halt_all(self) -> None:
        """End all loops soon."""
        for halt in self._halts.values():
            halt.set()

    def loop(
        self,
        name: str,
        lane: FrameSink,
        stats: Stats,
        *,
        watched: bool,
        tap: Callable[[Packet], None] | None,
        wanted: Callable[[], bool] | None,
        sound: Callable[[Sound], None] | None,
    ) -> CaptureWorker:
        """Return the loop of a camera; a file plays at its own speed where it is `watched`, unless settings differ."""
        camera = self._cameras[name]
        pace = camera.capture.pace
        return CaptureWorker(
            name,
            camera,
            lane,
            stats.cameras[name],
            self._halts[name],
            paced=pace == "realtime" or (pace == "auto" and watched),
            clock=stats.clock,
            source=self._sources[name],
            tap=tap,
            wanted=wanted,
            sound=sound,
        )
