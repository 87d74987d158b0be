"""The compressed pictures that an output passes on: the camera's own packets, or its pictures encoded here."""

from __future__ import annotations

from pipeline.frames import Packet
from pipeline.media.encoder import Encoder

from .protocols import View


class EncodedFeed:
    """One camera's way from pictures to packets; used by the output's thread, but `encodes` by any."""

    def __init__(self, camera: str, bitrate: int, *, overlay: bool, encodes: bool = True) -> None:
        """Take bits a second, 0 for a constant quality; `overlay` burns it in."""
        self.encodes = encodes
        """Whether pictures have to be encoded, because the camera's own packets do not go on."""
        self._camera = camera
        self._bitrate = bitrate
        self._overlay = overlay
        self._encoder: Encoder | None = None

    def encode(self, view: View) -> Packet:
        """Encode a picture: a camera's at the time of its capture, a file's at its own."""
        if self._encoder is None:
            self._encoder = Encoder(self._camera, self._bitrate)
        frame = view.result.frame
        image = view.annotated() if self._overlay else view.image()
        seconds = frame.captured if view.live or frame.pts is None else frame.pts
        return self._encoder.encode(image, seconds, frame.captured)

    def rest(self) -> None:
        """Let the encoder go; the next picture begins anew, with a keyframe."""
        self._encoder = None
