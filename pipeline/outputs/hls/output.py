"""HLS for TVs and phones: what the page's server hands out is made here, and only while somebody watches."""

from __future__ import annotations

from functools import partial

from pipeline.frames import Packet
from pipeline.outputs.encoded_feed import EncodedFeed
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.outputs.retry import Retry

from .settings import Hls

_POLL_INTERVAL_S = 0.25


class HlsOutput(Output):
    """Encodes pictures, once a camera, while players ask for them, or hands out the cameras' own H.264 untouched."""

    name = "hls"
    every_picture = True

    def __init__(self, settings: Hls, context: OutputContext) -> None:
        burnt = settings.boxes == "burnt"
        self.takes_packets = not burnt
        self._stats = context.stats
        self._streams = context.hls_streams
        self._feeds = {name: EncodedFeed(name, settings.bitrate, overlay=burnt) for name in self._streams}
        # Of one camera's pictures: what cannot be encoded stops no other camera.
        self._retries = {
            name: Retry(self.name, name, context.stats.outputs[self.name], context.clock) for name in self._streams
        }
        self._polled = float("-inf")

    def needs_frames(self, camera: str) -> bool:
        """Tell whether players ask for a camera whose pictures have to be encoded."""
        return self._feeds[camera].encodes and self._streams[camera].players > 0

    def show(self, view: View) -> bool:
        """Encode one picture, where players want it and its own packet does not go out; True if they do."""
        frame = view.result.frame
        stream, feed = self._streams[frame.camera], self._feeds[frame.camera]
        if not feed.encodes or not stream.players:
            feed.rest()
            return stream.players > 0
        packet = self._retries[frame.camera].attempt(partial(feed.encode, view), feed.rest)
        if packet is not None:
            stream.put(packet)
        return packet is not None

    def reopen(self) -> None:
        """Go on: the streams are there."""

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera; pictures are encoded where it is not H.264, or has to be turned."""
        feed = self._feeds[packet.camera]
        # Not every player turns what it decodes as the stream asks.
        feed.encodes = packet.codec != "h264" or packet.presentation.turned
        if not feed.encodes:
            self._streams[packet.camera].put(packet)

    def poll(self) -> bool:
        """Tell who watches, and forget what nobody does; a few times a second, however many views come."""
        now = self._stats.clock.monotonic()
        if now - self._polled < _POLL_INTERVAL_S:
            return True
        self._polled = now
        states = self._stats.outputs[self.name]
        for camera, stream in self._streams.items():
            if players := stream.players:
                viewers = f"{players} viewer{'s' * (players > 1)}"
                states.tell(camera, f"live, {viewers}" if stream.fresh else f"waiting for a picture, {viewers}")
            else:
                states.tell(camera, self._retries[camera].error)
                stream.discard(keep=not self._feeds[camera].encodes)
        return True

    def close(self) -> None:
        """Let the players go."""
        for stream in self._streams.values():
            stream.close()
