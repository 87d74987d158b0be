"""Pictures that somebody left out of an H.264 stream are noticed, and nothing else is."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import pytest

from pipeline.capture.health.frame_gaps import FrameGapDetector
from pipeline.media.nal import Bits
from tests.support.clips import Clip, street


def encoded(**options: str) -> list[bytes]:
    """A hundred pictures as x264 makes them, with start codes."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 160, 96, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
    encoder.options = {"preset": "veryfast", "g": "25", **options}
    packets = []
    for number, picture in enumerate(street(100, 160, 96)):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = number
        packets += encoder.encode(frame)
    return [bytes(packet) for packet in (*packets, *encoder.encode(None))]


WAYS = [
    {"bf": "0"},
    {"bf": "2"},
    {"bf": "3", "x264-params": "b-pyramid=normal"},
    {"profile": "baseline"},
    {"profile": "main", "tune": "zerolatency"},
    {"profile": "high", "x264-params": "cqm=jvt"},
    {"flags": "+ilme+ildct", "bf": "0"},
    {"refs": "4", "x264-params": "keyint=infinite"},
]


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_a_whole_stream_has_no_gaps(options: dict[str, str]) -> None:
    numbering = FrameGapDetector()
    assert [number for number, data in enumerate(encoded(**options)) if numbering.gap(data)] == []


@pytest.mark.parametrize("options", [{"bf": "0"}, {"profile": "high", "x264-params": "cqm=jvt", "bf": "0"}], ids=str)
@pytest.mark.parametrize("missing", [range(40, 41), range(40, 45), range(45, 55)], ids=str)
def test_missing_pictures_are_noticed_at_the_next_one(options: dict[str, str], missing: range) -> None:
    numbering, stream = FrameGapDetector(), encoded(**options)
    left = [number for number in range(len(stream)) if number not in missing]
    assert [number for number in left if numbering.gap(stream[number])] == [missing.stop]


def test_a_missing_picture_that_no_other_needs_is_no_gap() -> None:
    stream = encoded(bf="2", **{"x264-params": "b-pyramid=none"})
    disposable = [number for number, data in enumerate(stream) if data[4] >> 5 & 3 == 0 and number > 30]
    numbering = FrameGapDetector()
    assert disposable
    assert not any(numbering.gap(data) for number, data in enumerate(stream) if number != disposable[0])


def test_a_stream_whose_numbers_are_never_in_order_is_left_alone() -> None:
    numbering, stream = FrameGapDetector(), encoded(bf="0")
    every_other = [data for number, data in enumerate(stream) if number % 2 == 0 or number % 25 == 0]
    assert sum(numbering.gap(data) for data in every_other) == 0


def test_announced_parameter_sets_are_enough(clip: Clip) -> None:
    announced = b"\0\0\0\1" + clip.sps + b"\0\0\0\1" + clip.pps
    numbering = FrameGapDetector(announced)
    pictures = [b"\0\0\0\1" + units[-1] for units in clip.units]
    assert [number for number, data in enumerate(pictures) if number != 26 and numbering.gap(data)] == [27]


def test_rubbish_is_no_gap_and_no_error() -> None:
    numbering, stream = FrameGapDetector(), encoded(bf="0")
    for before, data in pairwise(stream):
        assert not numbering.gap(before[:5])
        assert not numbering.gap(data[: len(data) // 100])
    assert not FrameGapDetector(b"\0\0\1\x67\x64").gap(b"\0\0\1\x41\x9a")


def test_exponential_golomb_numbers_are_read() -> None:
    bits = Bits(bytes([0b1_010_011_0, 0b0100_0010, 0b1_0000000]))
    assert [bits.golomb() for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="ends"):
        bits.take(8)
