"""H.264 made for tests: every picture carries its number as a row of black and white cells."""

from __future__ import annotations

import fractions
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.capture.sources.synthetic.source import Street
from pipeline.frames import Image

BITS = 12
_START_CODE = b"\0\0\1"


def stamped(picture: Image, number: int) -> Image:
    """The picture with `number` written into its top left corner, sixteenths of the height tall."""
    marked = picture.copy()
    cell = picture.shape[0] // 16
    for bit in range(BITS):
        marked[:cell, bit * cell : (bit + 1) * cell] = 235 if number >> bit & 1 else 16
    return marked


def number_in(picture: NDArray[Any]) -> int:
    """The number that `stamped` wrote."""
    cell = picture.shape[0] // 16
    middles = picture[cell // 2, cell // 2 : BITS * cell : cell].mean(axis=1)
    return sum(1 << bit for bit, value in enumerate(middles) if value > 128)


def street(count: int, width: int = 640, height: int = 360) -> Iterator[Image]:
    """The first `count` pictures of the drawn street, each with its number."""
    return (_street_picture(number, width, height) for number in range(count))


@lru_cache(maxsize=128)
def _street_picture(number: int, width: int, height: int) -> Image:
    picture = _world().picture(number)
    if (width, height) != (picture.shape[1], picture.shape[0]):
        picture = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return stamped(picture, number)


@lru_cache(maxsize=1)
def _world() -> Street:
    return Street()


@dataclass(frozen=True)
class Clip:
    """H.264 as a camera sends it: no B-frames, parameter sets before every keyframe."""

    units: tuple[tuple[bytes, ...], ...]
    """For each picture its NAL units without start codes."""
    fps: float
    sps: bytes
    pps: bytes


def encode(pictures: Iterable[Image], fps: int = 30, keyframe_every: int = 30, bitrate: int = 0) -> Clip:
    """Encode pictures of one size for streaming."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.pix_fmt = "yuv420p"
    encoder.framerate = fractions.Fraction(fps)
    encoder.time_base = fractions.Fraction(1, fps)
    encoder.bit_rate = bitrate
    rules = f"keyint={keyframe_every}:min-keyint={keyframe_every}:scenecut=0:repeat-headers=1:sliced-threads=0"
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": rules}
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        if number == 0:
            encoder.width, encoder.height = frame.width, frame.height
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    units = tuple(tuple(_split(bytes(packet))) for packet in packets)
    first = {unit[0] & 31: unit for unit in units[0]}
    return Clip(units, float(fps), first[7], first[8])


def record(source: str, count: int, keyframe_every: int) -> Clip:
    """The first `count` pictures of a video file, or of the drawn street for `demo`, encoded anew."""
    if source == "demo":
        return encode(street(count, 1280, 720), 30, keyframe_every)
    with av.open(source) as container:
        fps = round(container.streams.video[0].average_rate or 25)
        frames = itertools.islice(container.decode(video=0), count)
        pictures = (np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in frames)
        return encode(pictures, fps, keyframe_every)


def write_file(path: Path, pictures: Iterable[Image], fps: int = 30, encoder: str = "libx264", **options: str) -> Path:
    """Encode pictures into a file whose ending names the container."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(encoder, rate=fps, options={"preset": "ultrafast", **options})
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "yuv420p"
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            if number == 0:
                stream.width, stream.height = frame.width, frame.height
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _split(stream: bytes) -> Iterator[bytes]:
    for unit in stream.split(_START_CODE)[1:]:
        yield unit.rstrip(b"\0") if unit[0] & 31 in (7, 8, 6) else unit.removesuffix(b"\0")


def parameter_set(width: int, height: int) -> bytes:
    """A sequence parameter set for pictures of this size, in multiples of 16, that no encoder had to make."""
    bits = f"{66:08b}{0xC0:08b}{62:08b}" + "".join(map(_golomb, (0, 0, 2, 1))) + "0"
    bits += _golomb(width // 16 - 1) + _golomb(height // 16 - 1) + "1100" + "1"
    bits += "0" * (-len(bits) % 8)
    return bytes([0x67]) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def _golomb(value: int) -> str:
    written = f"{value + 1:b}"
    return "0" * (len(written) - 1) + written
