"""Pictures missing from an H.264 stream, told by the numbers that it gives to its pictures.

Whoever passes a stream on may leave out whole pictures and close the gap in its packets, so that nothing
seems lost. The pictures that build on them are wrong all the same, and FFmpeg is silent about it.
"""

from __future__ import annotations

from pipeline.media.nal import (
    KEY_SLICE,
    SEQUENCE_PARAMETERS,
    SLICE,
    Bits,
    frame_number_width,
    unit_type,
    units,
)

_HEAD_BYTES = 4096
_SLICE_HEAD_BYTES = 32
_TRUSTED_COUNT = 4
_MAX_TRUSTED_COUNT = 50


class FrameGapDetector:
    """The numbers of one stream's pictures; quiet about streams whose numbers have never been in order."""

    def __init__(self, extradata: bytes = b"") -> None:
        """Take the parameter sets that were announced, separated by start codes."""
        self._width = 0
        """Bits of a picture's number; 0 where gaps cannot be told."""
        self._reference: int | None = None
        self._in_order = 0
        """How many more numbers than not were in order, of late."""
        for unit in units(extradata):
            self._learn(unit)

    def gap(self, data: bytes) -> bool:
        """Tell whether pictures are missing before this one, which comes with start codes."""
        for unit in units(data[:_HEAD_BYTES]):
            kind = unit_type(unit)
            if kind == SEQUENCE_PARAMETERS:
                self._learn(unit)
            elif kind in (SLICE, KEY_SLICE):
                return self._missing(unit)
        self._reference = None
        return False

    def _missing(self, unit: bytes) -> bool:
        number = self._number(unit)
        before, self._reference = self._reference, number
        if number is None or before is None or unit_type(unit) == KEY_SLICE:
            return False
        following = (before + 1) % (1 << self._width)
        missing = number not in (before, following) and self._in_order >= _TRUSTED_COUNT
        if number != before:
            self._in_order = min(_MAX_TRUSTED_COUNT, max(0, self._in_order + (1 if number == following else -1)))
        if not unit[0] >> 5 & 3 and not missing:
            # No other picture builds on this one, so the next has the same number.
            self._reference = before
        return missing

    def _number(self, unit: bytes) -> int | None:
        if not self._width:
            return None
        try:
            bits = Bits(unit[1:_SLICE_HEAD_BYTES])
            for _ in ("first macroblock", "kind of slice", "picture parameter set"):
                bits.golomb()
            return bits.take(self._width)
        except ValueError:
            return None

    def _learn(self, unit: bytes) -> None:
        if unit_type(unit) == SEQUENCE_PARAMETERS:
            try:
                self._width = frame_number_width(unit)
            except ValueError:
                self._width = 0
