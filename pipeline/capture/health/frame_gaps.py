"""Whether pictures are missing from an H.264 stream, told by the numbers that it gives to its pictures.

Whoever passes a stream on may leave out whole pictures and close the gap in its packets, so that nothing
seems lost. The pictures that build on them are wrong all the same, and FFmpeg is silent about it.
"""

from __future__ import annotations

from collections.abc import Iterator

_HEAD = 4096
_SLICE_HEAD = 32
_TRUSTED = 4
_MOST_TRUSTED = 50
_SLICE, _KEY_SLICE, _PARAMETERS = 1, 5, 7
_WITH_CHROMA = {44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244}


class Numbering:
    """The numbers of one stream's pictures; quiet about streams whose numbers have never been in order."""

    def __init__(self, extradata: bytes = b"") -> None:
        """Take the parameter sets that were announced, separated by start codes."""
        self._width = 0
        """Bits of a picture's number; 0 where gaps cannot be told."""
        self._reference: int | None = None
        self._in_order = 0
        """How many more numbers than not were in order, of late."""
        for unit in _units(extradata):
            self._learn(unit)

    def gap(self, data: bytes) -> bool:
        """Whether pictures are missing before this one, which comes with start codes."""
        for unit in _units(data[:_HEAD]):
            kind = unit[0] & 31
            if kind == _PARAMETERS:
                self._learn(unit)
            elif kind in (_SLICE, _KEY_SLICE):
                return self._missing(unit)
        self._reference = None
        return False

    def _missing(self, unit: bytes) -> bool:
        number = self._number(unit)
        before, self._reference = self._reference, number
        if number is None or before is None or unit[0] & 31 == _KEY_SLICE:
            return False
        following = (before + 1) % (1 << self._width)
        missing = number not in (before, following) and self._in_order >= _TRUSTED
        if number != before:
            self._in_order = min(_MOST_TRUSTED, max(0, self._in_order + (1 if number == following else -1)))
        if not unit[0] >> 5 & 3 and not missing:
            # No other picture builds on this one, so the next has the same number.
            self._reference = before
        return missing

    def _number(self, unit: bytes) -> int | None:
        if not self._width:
            return None
        try:
            bits = Bits(unit[1:_SLICE_HEAD])
            for _ in ("first macroblock", "kind of slice", "picture parameter set"):
                bits.golomb()
            return bits.take(self._width)
        except ValueError:
            return None

    def _learn(self, unit: bytes) -> None:
        if unit[0] & 31 == _PARAMETERS:
            try:
                self._width = number_width(unit)
            except ValueError:
                self._width = 0


class Bits:
    """Reads the bits of a unit one after the other; ValueError at its end."""

    def __init__(self, data: bytes) -> None:
        data = data.replace(b"\0\0\3", b"\0\0")
        self._value = int.from_bytes(data, "big")
        self._left = len(data) * 8

    def take(self, count: int) -> int:
        """A number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("the unit ends")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """An unsigned number in Exp-Golomb code."""
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)


def number_width(unit: bytes) -> int:
    """How many bits a picture's number has by a sequence parameter set; 0 where gaps are allowed in the numbers."""
    bits = Bits(unit[1:])
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


def _units(data: bytes) -> Iterator[bytes]:
    """The parts between start codes, the last one perhaps cut off."""
    at = data.find(b"\0\0\1")
    while at >= 0:
        end = data.find(b"\0\0\1", at + 3)
        unit = data[at + 3 : end if end >= 0 else len(data)]
        if unit:
            yield unit
        at = end
