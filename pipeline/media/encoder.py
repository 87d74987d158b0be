"""Pictures to H.264 packets: no delay, no B-frames, a keyframe each second."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.frame import PictureType

from pipeline.frames import Image, Packet

from .timestamps import TICKS_PER_S, PictureTimeline

_KEYFRAME_INTERVAL_S = 1.0
# What cv2's conversion gives, so that players need not guess by the size.
_BT601, _BT601_TRANSFER, _LIMITED_RANGE = 6, 6, 1


class Encoder:
    """Encodes the pictures of one camera; a picture of another size starts with a keyframe of that size."""

    def __init__(self, camera: str, bitrate: int = 0) -> None:
        """Take bits a second; 0 keeps a constant quality instead."""
        self._camera = camera
        self._bitrate = bitrate
        self._timeline = PictureTimeline()
        self._context: av.VideoCodecContext | None = None
        self._keyframe_at = 0

    def encode(self, image: Image, seconds: float, captured: float) -> Packet:
        """Return the packet of a picture taken at `seconds` on any steady timeline; the pts is 0 for the first picture.

        An odd last row or column is left out.
        """
        height, width = image.shape[0] & ~1, image.shape[1] & ~1
        if self._context is None or (self._context.width, self._context.height) != (width, height):
            self._context = self._opened(width, height)
            self._keyframe_at = 0
        planes = cv2.cvtColor(image[:height, :width], cv2.COLOR_BGR2YUV_I420)
        frame = av.VideoFrame.from_ndarray(np.asarray(planes, np.uint8), format="yuv420p")
        frame.time_base = Fraction(1, TICKS_PER_S)
        frame.pts = ticks = self._timeline.ticks(seconds)
        if ticks >= self._keyframe_at:
            frame.pict_type = PictureType.I
            self._keyframe_at = ticks + round(_KEYFRAME_INTERVAL_S * TICKS_PER_S)
        packets = self._context.encode(frame)
        data, at = b"".join(map(bytes, packets)), ticks / TICKS_PER_S
        return Packet(self._camera, "h264", data, packets[0].is_keyframe, at, at, captured, width, height)

    def _opened(self, width: int, height: int) -> av.VideoCodecContext:
        context = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, TICKS_PER_S)
        context.framerate = Fraction(30)
        context.gop_size = 100_000
        context.thread_count = 2
        context.color_range, context.colorspace = _LIMITED_RANGE, _BT601
        context.color_primaries, context.color_trc = _BT601, _BT601_TRANSFER
        # Without lookahead and B-frames each picture is out at once; forced keyframes replace the fixed interval
        # because frames may come at any rate.
        options = {"preset": "superfast", "tune": "zerolatency", "forced-idr": "1", "x264-params": "repeat-headers=1"}
        if self._bitrate:
            context.bit_rate = self._bitrate
        else:
            options["crf"] = "23"
        context.options = options
        return context
