"""HLS for TVs and phones: what the page's server hands out is made here, and only while somebody watches."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.config import root as config
from pipeline.frames import Packet
from pipeline.media.encoder import Encoder
from pipeline.outputs.protocols import Output, View
from pipeline.stats.registry import Stats

from .live_stream import Broadcast

_TURN = 0.25


class HlsOutput(Output):
    """Encodes pictures with their overlay, once a camera, while players ask for them."""

    name = "hls"

    def __init__(self, settings: config.Hls, stats: Stats, broadcasts: Mapping[str, Broadcast]) -> None:
        """Take where the pictures go, by the names of the cameras."""
        self._burnt = settings.boxes == "burnt"
        self._bitrate = settings.bitrate
        self._stats = stats
        self._broadcasts = broadcasts
        self._encoders: dict[str, Encoder] = {}
        self._copied: set[str] = set()
        self._turned: set[str] = set()
        self._polled = float("-inf")

    def wants(self, camera: str) -> bool:
        """Whether players ask for a camera whose pictures have to be encoded."""
        return camera not in self._copied and self._broadcasts[camera].players > 0

    def show(self, view: View) -> bool:
        """Encode one picture, where players want it and its own packet does not go out; True if they do."""
        frame = view.result.frame
        broadcast = self._broadcasts[frame.camera]
        if frame.picture.turned:
            # Players do not turn what they decode as the stream asks.
            self._turned.add(frame.camera)
            self._copied.discard(frame.camera)
        if frame.camera in self._copied or not broadcast.players:
            self._encoders.pop(frame.camera, None)
            return broadcast.players > 0
        encoder = self._encoders.get(frame.camera)
        if encoder is None:
            encoder = self._encoders[frame.camera] = Encoder(frame.camera, self._bitrate)
        image = view.painted() if self._burnt else view.plain()
        seconds = frame.captured if view.live or frame.pts is None else frame.pts
        broadcast.put(encoder.encode(image, seconds, frame.captured))
        return True

    def poll(self) -> bool:
        """Tell who watches, and forget what nobody does; a few times a second, however many views come."""
        now = self._stats.clock.monotonic()
        if now - self._polled < _TURN:
            return True
        self._polled = now
        states = self._stats.outputs[self.name]
        for camera, broadcast in self._broadcasts.items():
            if players := broadcast.players:
                viewers = f"{players} viewer{'s' * (players > 1)}"
                states.tell(camera, f"live, {viewers}" if broadcast.fresh else f"waiting for a picture, {viewers}")
            else:
                states.tell(camera, "")
                broadcast.rest(keep=camera in self._copied)
        return True

    def close(self) -> None:
        """Let the players go."""
        for broadcast in self._broadcasts.values():
            broadcast.close()


class CopyHlsOutput(HlsOutput):
    """Hands out the cameras' own H.264, untouched; other cameras' pictures are encoded without overlay."""

    def packet(self, packet: Packet) -> None:
        """Take one packet of any camera."""
        if packet.codec == "h264" and packet.camera not in self._turned:
            self._copied.add(packet.camera)
            self._broadcasts[packet.camera].put(packet)
        else:
            self._copied.discard(packet.camera)
