"""Units are found where they begin and end, and their heads are read right."""

from __future__ import annotations

import pytest

from pipeline.media.nal import (
    avc_record,
    codec_name,
    frame_number_width,
    hevc_record,
    joined,
    prefixed_units,
    unit_type,
    units,
)
from tests.support.clips import encode, parameter_set, street

SPS, PPS, KEY = b"\x67\x42\xc0\x1e", b"\x68\xce", b"\x65\x88\x01"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"no start code", []),
        (b"\0\0\1" + SPS, [SPS]),
        (b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS + b"\0\0\1" + KEY, [SPS, PPS, KEY]),
        (b"\0\0\1" + SPS + b"\0\0\0\0\0\1" + KEY + b"\0\0\0", [SPS, KEY]),
        (b"left over\0\0\1" + KEY + b"\0\0\1", [KEY]),
        (b"\0\0\1\0\0\1" + KEY, [KEY]),
    ],
)
def test_units_lie_between_start_codes_and_never_end_in_zeros(data: bytes, found: list[bytes]) -> None:
    assert list(units(data)) == found


def test_what_is_joined_is_found_again() -> None:
    assert list(units(joined([SPS, PPS, KEY]))) == [SPS, PPS, KEY]


def test_units_behind_their_lengths_are_read_and_what_is_cut_off_is_left_out() -> None:
    data = b"".join(len(unit).to_bytes(4, "big") + unit for unit in (SPS, b"", KEY))
    assert list(prefixed_units(data, 4)) == [SPS, KEY]
    assert list(prefixed_units(data[:-1], 4)) == [SPS]


def test_the_type_of_a_unit_depends_on_its_codec() -> None:
    assert [unit_type(unit) for unit in (SPS, PPS, KEY)] == [7, 8, 5]
    assert unit_type(b"\x40\x01", "hevc") == 32


def test_the_records_of_files_hold_the_parameter_sets() -> None:
    head = b"\x01\x42\xc0\x1e\xfd"
    record = head + b"\xe1" + len(SPS).to_bytes(2, "big") + SPS + b"\x01" + len(PPS).to_bytes(2, "big") + PPS
    assert avc_record(record) == (2, [SPS, PPS])
    assert avc_record(head[:4]) == (4, [])
    of = b"\x20\0\x01\0\x03abc" + b"\x27\0\x01\0\x02xy" + b"\x21\0\x01\0\x01z"
    assert hevc_record(bytes(21) + b"\x03\x03" + of) == (4, [b"abc", b"z"])


@pytest.mark.parametrize(
    ("keyframe", "name"),
    [
        (joined([SPS, KEY]), "avc1.42C01E"),
        (joined([PPS, SPS, KEY]), "avc1.42C01E"),
        (joined([SPS[:3], KEY]), ""),
        (joined([KEY]), ""),
        (b"", ""),
    ],
)
def test_browsers_are_told_the_profile_and_the_level(keyframe: bytes, name: str) -> None:
    assert codec_name(keyframe) == name


def test_the_width_of_picture_numbers_is_read_from_what_an_encoder_writes() -> None:
    # x264 without B-frames gives four bits, the least that there are.
    assert frame_number_width(encode(street(2, 320, 180), 10, 10).sps) == 4
    assert frame_number_width(parameter_set(640, 480)) == 4
    with pytest.raises(ValueError, match="the unit ends"):
        frame_number_width(SPS)
