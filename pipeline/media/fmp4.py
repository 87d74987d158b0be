"""H.264 as fragmented MP4, which players take piece by piece: the head of a stream, and the pieces that follow it."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import NamedTuple

import av

from pipeline.frames import Packet

from .muxer import add_stream, readable
from .nal import DELIMITERS, PARAMETER_SETS, joined, unit_type, units

_TRACK_ID = 1
# ISO/IEC 14496-12: the file's own offsets count from this piece; every sample has duration, size, flags and offset.
_BASE_IS_PIECE_FLAGS = 0x020000
_TABLE_FLAGS = 0x000001 | 0x000100 | 0x000200 | 0x000400 | 0x000800
_STARTS, _FOLLOWS = 0x02000000, 0x01010000
_ROW = struct.Struct(">IIIi")


class MediaSample(NamedTuple):
    """One compressed picture as it stands in a piece."""

    data: bytes
    """NAL units, each behind its length in four bytes."""
    key: bool
    """Whether decoding can start here."""
    decoded: int
    """When it is to be decoded, in ticks of 1/90000 s."""
    wait: int
    """Ticks from then until it is to be shown."""


def parted(data: bytes) -> tuple[bytes, bytes]:
    """Split an Annex B picture into its parameter sets, still in Annex B, and the rest as samples hold it."""
    sets, rest = [], []
    for unit in units(data):
        kind = unit_type(unit)
        if kind in PARAMETER_SETS["h264"]:
            sets.append(unit)
        elif kind not in DELIMITERS:
            rest += [len(unit).to_bytes(4, "big"), unit]
    return joined(sets), b"".join(rest)


def head(keyframe: Packet) -> bytes:
    """Return the init segment, which players need before any piece; DamagedError if the keyframe cannot be read."""
    file = io.BytesIO()
    options = {"movflags": "empty_moov+default_base_moof+frag_custom", "use_editlist": "0"}
    with readable(keyframe) as sample, av.open(file, "w", format="mp4", options=options) as container:
        add_stream(container, sample.streams.video[0], keyframe.presentation)
        container.start_encoding()
        return file.getvalue()


def piece(number: int, samples: Sequence[MediaSample], end: int) -> bytes:
    """Return the piece of these samples, the last of which lasts until `end`, in ticks.

    FFmpeg's own muxer would hold every piece back until the next picture and count its times anew from 0.
    """
    ends = [*(each.decoded for each in samples[1:]), end]
    rows = b"".join(
        _ROW.pack(until - each.decoded, len(each.data), _STARTS if each.key else _FOLLOWS, each.wait)
        for each, until in zip(samples, ends, strict=True)
    )

    def described(offset: int) -> bytes:
        track = _box(b"tfhd", _full(0, _BASE_IS_PIECE_FLAGS), struct.pack(">I", _TRACK_ID))
        when = _box(b"tfdt", _full(1, 0), struct.pack(">Q", samples[0].decoded))
        table = _box(b"trun", _full(1, _TABLE_FLAGS), struct.pack(">Ii", len(samples), offset), rows)
        return _box(b"moof", _box(b"mfhd", _full(0, 0), struct.pack(">I", number)), _box(b"traf", track, when, table))

    return described(len(described(0)) + 8) + _box(b"mdat", *(each.data for each in samples))


def _box(kind: bytes, *parts: bytes) -> bytes:
    return b"".join(((8 + sum(map(len, parts))).to_bytes(4, "big"), kind, *parts))


def _full(version: int, flags: int) -> bytes:
    return (version << 24 | flags).to_bytes(4, "big")
