"""Live streams of the cameras to RTSP and RTMP servers, which may be slow, stalled or away without anybody noticing."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial

from pipeline.address.parse import kind
from pipeline.config import root as config
from pipeline.errors import OutputError
from pipeline.frames import Packet
from pipeline.media.encoder import Encoder
from pipeline.outputs.paths import check_template
from pipeline.outputs.protocols import Output, View
from pipeline.stats.registry import Stats

from .publisher import Publisher


class StreamOutput(Output):
    """Encodes pictures with their overlay, once a camera, while its server takes them."""

    name = "stream"
    paced = True

    def __init__(
        self,
        settings: config.Stream,
        cameras: dict[str, config.Camera],
        stats: Stats,
        start: Callable[[str, Callable[[], None]], None],
    ) -> None:
        check_template("stream.address", settings.address, tuple(cameras))
        self._burnt = settings.boxes == "burnt"
        self._start = start
        counted = stats.outputs[self.name]
        self._publishers: dict[str, Publisher] = {}
        for name in cameras:
            publisher = Publisher(settings.address.replace("{camera}", name), stats.clock, lost=counted.skipped)
            publisher.tell = partial(counted.tell, publisher.name)
            self._publishers[name] = publisher
        self._encoders = {
            name: Encoder(name, settings.bitrate)
            for name, camera in cameras.items()
            if self._burnt or kind(camera.source) in ("demo", "webcam")
        }

    def open(self) -> None:
        """Start connecting; a server that is away is no error. Raises OutputError where this system cannot publish."""
        if not hasattr(signal, "setitimer"):
            raise OutputError("stream: this system has no timer that ends a stalled stream; Linux and macOS have one")
        for camera, publisher in self._publishers.items():
            self._start(f"stream-{camera}", publisher.run)

    def show(self, view: View) -> bool:
        """Encode one picture for the server."""
        frame = view.result.frame
        publisher, encoder = self._publishers[frame.camera], self._encoders.get(frame.camera)
        if encoder is None or not publisher.wanted:
            return False
        image = view.painted() if self._burnt else view.plain()
        seconds = frame.captured if view.live or frame.pts is None else frame.pts
        publisher.put(encoder.encode(image, seconds, frame.captured))
        return publisher.live

    def wants(self, camera: str) -> bool:
        """Only what is encoded here has to be decoded first, while its server takes it."""
        return camera in self._encoders and self._publishers[camera].wanted

    def close(self) -> None:
        """Let the servers go."""
        for publisher in self._publishers.values():
            publisher.stop()


class CopyStreamOutput(StreamOutput):
    """Sends the cameras' own packets, untouched."""

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera."""
        if packet.camera not in self._encoders:
            self._publishers[packet.camera].put(packet)
