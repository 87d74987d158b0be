"""How coded pictures say in which way they are to be shown, read and written: matrices, SEI messages, pixel shapes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fractions import Fraction

import av
from av.bitstream import BitStreamFilterContext

from pipeline.frames import AS_CODED, Presentation

from .nal import unit_type

_ONE, _LAST = 1 << 16, 1 << 30
"""1 in the numbers of a matrix, which in its last column have more places behind the point."""
_SEI_TYPES = {"h264": 6, "hevc": 39}
_HEAD_SIZES = {"h264": 1, "hevc": 2}
_ORIENTATION_ID = 47
_FULL_TURN_COUNT = 1 << 16
_JPEG_START, _JFIF_MARK = b"\xff\xd8", b"\xff\xe0"


def from_matrix(matrix: Sequence[float]) -> Presentation:
    """Return what a display matrix of FFmpeg asks for, nine numbers in rows of three; odd angles are rounded."""
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    a, b = (-a, -b) if mirrored else (a, b)
    return Presentation(_quarter(math.degrees(math.atan2(-b, a))), mirrored)


def to_matrix(presentation: Presentation, width: int, height: int) -> list[int]:
    """Return the display matrix for pictures of that coded size, moved so that nothing lies left of or above 0."""
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[presentation.rotation // 90]
    across, down = (-cos, sin) if presentation.mirrored else (cos, -sin)
    left = -min(0, across * width) - min(0, sin * height)
    top = -min(0, down * width) - min(0, cos * height)
    rows = (across * _ONE, down * _ONE, 0, sin * _ONE, cos * _ONE, 0, left * _ONE, top * _ONE)
    return [*rows, _LAST]


def from_units(found: Iterable[bytes], codec: str) -> Presentation | None:
    """Return what the SEI message among the units of an H.264 or H.265 picture asks for; None where there is none.

    ITU-T H.264 D.1.27 and H.265 D.2.17, display orientation; one that cancels the last asks for nothing.
    """
    asked = None
    for unit in found:
        if unit_type(unit, codec) == _SEI_TYPES[codec]:
            for payload in _payloads(unit[_HEAD_SIZES[codec] :].replace(b"\0\0\3", b"\0\0")):
                asked = _orientation(payload)
    return asked


def with_pixel_aspect(data: bytes, codec: str, aspect: Fraction) -> bytes:
    """Return a keyframe that says itself that its pixels have this shape; the same where its codec has no place."""
    if codec == "mjpeg":
        return _jpeg_with_density(data, aspect.limit_denominator(1000))
    if codec not in _SEI_TYPES:
        return data
    with suppress(av.FFmpegError, ValueError):
        aspect = aspect.limit_denominator(65535)
        rewriter = BitStreamFilterContext(
            f"{codec}_metadata=sample_aspect_ratio={aspect.numerator}/{aspect.denominator}", codec
        )
        return b"".join(bytes(each) for each in rewriter.filter(av.Packet(data)))
    return data


def _quarter(degrees: float) -> int:
    return round(degrees / 90) % 4 * 90


def _orientation(payload: bytes) -> Presentation:
    said = int.from_bytes(payload[:3].ljust(3, b"\0"), "big")
    if said >> 23:
        return AS_CODED
    mirrored, upside_down = bool(said >> 22 & 1), said >> 21 & 1
    turned = _quarter((said >> 5 & 0xFFFF) * 360 / _FULL_TURN_COUNT)
    # Where top and bottom change places, left and right do and it is turned by half.
    return Presentation((turned + 180 * upside_down) % 360, mirrored != bool(upside_down))


def _payloads(message: bytes) -> Iterable[bytes]:
    """Yield the display orientations among the payloads of an SEI unit."""
    at = 0
    while at + 2 < len(message):
        head = []
        for _ in ("type", "size"):
            value = 0
            while at < len(message) and message[at] == 255:
                value, at = value + 255, at + 1
            head.append(value + message[at] if at < len(message) else value)
            at += 1
        if head[0] == _ORIENTATION_ID:
            yield message[at : at + head[1]]
        at += head[1]


def _jpeg_with_density(data: bytes, aspect: Fraction) -> bytes:
    """Write the shape of the pixels into the JFIF head, or put such a head in front."""
    if data[:2] != _JPEG_START:
        return data
    # Without a unit the two densities are the shape of a pixel.
    density = b"\0" + aspect.numerator.to_bytes(2, "big") + aspect.denominator.to_bytes(2, "big")
    if data[2:4] == _JFIF_MARK and data[6:11] == b"JFIF\0" and len(data) > 18:
        return data[:13] + density + data[18:]
    return _JPEG_START + _JFIF_MARK + b"\0\x10JFIF\0\1\2" + density + b"\0\0" + data[2:]
