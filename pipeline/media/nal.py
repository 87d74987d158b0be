"""NAL units of H.264 and H.265: between start codes or behind their lengths, and what their heads say.

ITU-T H.264 Annex B and 7.3, H.265 Annex B and 7.3; the records of MP4 are of ISO/IEC 14496-15.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

SLICE, KEY_SLICE, SEQUENCE_PARAMETERS = 1, 5, 7
"""Types of H.264 units."""
DELIMITERS = frozenset({9, 12})
"""Types of H.264 units that only separate pictures or fill up."""
PARAMETER_SETS = {"h264": frozenset({7, 8}), "hevc": frozenset({32, 33, 34})}
"""For each codec the types of units that a decoder must have seen before a keyframe."""
PICTURES = {"h264": range(6), "hevc": range(32)}
"""For each codec the types of units that hold picture data."""

_START_CODE = b"\0\0\1"
_LONG_START_CODE = b"\0\0\0\1"
_MAX_SET_BYTES = 1024
"""Longest part of a parameter set that is read: more than any needs, and little enough to be read bit by bit."""
_WITH_CHROMA = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}
"""Profiles whose parameter sets say how colour is stored."""


def units(data: bytes) -> Iterator[bytes]:
    """Yield the units between start codes, the last one perhaps cut off.

    A unit never ends in zeros: those belong to the longer form of the next start code, or fill up.
    """
    at = data.find(_START_CODE)
    while at >= 0:
        end = data.find(_START_CODE, at + 3)
        if unit := data[at + 3 : end if end >= 0 else len(data)].rstrip(b"\0"):
            yield unit
        at = end


def unit_type(unit: bytes, codec: str = "h264") -> int:
    """Return the type that the head of a unit names; `codec` is h264 or hevc."""
    return unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63


def prefixed_units(data: bytes, prefix: int) -> Iterator[bytes]:
    """Yield the units behind their lengths of `prefix` bytes each; what is cut off is left out."""
    at = 0
    while at + prefix < len(data):
        length = int.from_bytes(data[at : at + prefix], "big")
        at += prefix
        if length and at + length <= len(data):
            yield data[at : at + length]
        at += length


def length_prefix(codec: str, extradata: bytes) -> int:
    """Return the bytes of the length in front of each unit by what a container says; 0 where start codes part them."""
    if codec not in PARAMETER_SETS or extradata[:1] != b"\1":
        return 0
    return (avc_record(extradata) if codec == "h264" else hevc_record(extradata))[0]


def joined(parts: Iterable[bytes]) -> bytes:
    """Put a start code in front of every unit."""
    return b"".join(_LONG_START_CODE + unit for unit in parts)


def avc_record(record: bytes) -> tuple[int, list[bytes]]:
    """Read an AVCDecoderConfigurationRecord: bytes of the length before each unit, and the parameter sets."""
    found, at = [], 5
    for mask in (31, 255):
        count = record[at] & mask if at < len(record) else 0
        at += 1
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            found.append(record[at + 2 : at + 2 + length])
            at += 2 + length
    return (record[4] & 3) + 1 if len(record) > 4 else 4, found


def hevc_record(record: bytes) -> tuple[int, list[bytes]]:
    """Read an HEVCDecoderConfigurationRecord: bytes of the length before each unit, and the parameter sets."""
    found, at = [], 23
    for _ in range(record[22] if len(record) > 22 else 0):
        kind, count = record[at] & 63, int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            length = int.from_bytes(record[at : at + 2], "big")
            if kind in PARAMETER_SETS["hevc"]:
                found.append(record[at + 2 : at + 2 + length])
            at += 2 + length
    return (record[21] & 3) + 1 if len(record) > 21 else 4, found


def codec_name(keyframe: bytes) -> str:
    """Return what browsers call H.264 that starts with this picture, such as avc1.42C01F; empty without its settings.

    RFC 6381, 3.3: profile, constraints and level, the three bytes behind the head of the parameter set.
    """
    for unit in units(keyframe):
        if unit_type(unit) == SEQUENCE_PARAMETERS and len(unit) >= 4:
            return "avc1." + unit[1:4].hex().upper()
    return ""


class Bits:
    """Reads the bits of a unit one after the other; ValueError at its end."""

    def __init__(self, data: bytes) -> None:
        # The 3 keeps start codes out of a unit and is no part of what it says (7.4.1.1).
        data = data.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """Read a number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the unit ends")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Read an unsigned number in Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def frame_number_width(unit: bytes) -> int:
    """Return how many bits a picture's number has by a sequence parameter set; 0 where the numbers may have gaps."""
    bits = Bits(unit[1:_MAX_SET_BYTES])
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    if profile in _WITH_CHROMA:
        if (chroma := bits.golomb()) == 3 and bits.take(1):
            return 0
        bits.golomb(), bits.golomb()
        bits.take(1)
        if bits.take(1):
            for place in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if place < 6 else 64)
    width = bits.golomb() + 4
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb(), bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    bits.golomb()
    return 0 if bits.take(1) else width


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            step = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + step) % 256
        last = following or last
