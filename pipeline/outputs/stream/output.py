"""Live streams of the cameras to RTSP and RTMP servers, which may be slow, stalled or away without anybody noticing."""

from __future__ import annotations

import signal
from functools import partial

from pipeline.errors import OutputError
from pipeline.frames import Packet
from pipeline.outputs.encoded_feed import EncodedFeed
from pipeline.outputs.paths import check_template
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.outputs.retry import Retry

from .publisher import Publisher
from .settings import Stream


class StreamOutput(Output):
    """Sends the cameras' own packets untouched, or encodes pictures, once a camera, while its server takes them."""

    name = "stream"
    paced = True
    every_picture = True

    def __init__(self, settings: Stream, context: OutputContext) -> None:
        cameras = tuple(context.cameras)
        check_template("stream.address", settings.address, cameras)
        burnt = settings.boxes == "burnt"
        self.takes_packets = not burnt
        self._start = context.start
        counted = context.stats.outputs[self.name]
        self._publishers: dict[str, Publisher] = {}
        for name in cameras:
            publisher = Publisher(settings.address.replace("{camera}", name), context.clock, lost=counted.skipped)
            publisher.tell = partial(counted.tell, publisher.name)
            self._publishers[name] = publisher
        # Of one camera's pictures: what cannot be encoded stops no other camera.
        self._retries = {name: Retry(self.name, name, counted, context.clock) for name in cameras}
        self._feeds = {
            name: EncodedFeed(
                name, settings.bitrate, overlay=burnt, encodes=burnt or name not in context.packet_cameras
            )
            for name in cameras
        }

    def open(self) -> None:
        """Start connecting; a server that is away is no error. Raises OutputError where this system cannot publish."""
        if not hasattr(signal, "setitimer"):
            raise OutputError("stream: this system has no timer that ends a stalled stream; Linux and macOS have one")
        for camera, publisher in self._publishers.items():
            self._start(f"stream-{camera}", publisher.run)

    def show(self, view: View) -> bool:
        """Encode one picture for the server."""
        camera = view.result.frame.camera
        publisher, feed = self._publishers[camera], self._feeds[camera]
        if not feed.encodes or not publisher.wanted:
            return False
        packet = self._retries[camera].attempt(partial(feed.encode, view), feed.rest)
        if packet is None:
            return False
        publisher.put(packet)
        return publisher.live

    def reopen(self) -> None:
        """Go on: each stream has a thread of its own, which never gives up."""

    def needs_frames(self, camera: str) -> bool:
        """Only what is encoded here has to be decoded first, while its server takes it."""
        return self._feeds[camera].encodes and self._publishers[camera].wanted

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera, untouched; pictures that have to be turned are encoded."""
        feed = self._feeds[packet.camera]
        # No server learns how the pictures of a stream are to be turned.
        feed.encodes = packet.presentation.turned
        if not feed.encodes:
            self._publishers[packet.camera].put(packet)

    def close(self) -> None:
        """Let the servers go."""
        for publisher in self._publishers.values():
            publisher.stop()
