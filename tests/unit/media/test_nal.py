"""Units are found where they begin and end, and their heads are read right."""

from __future__ import annotations

import pytest

from pipeline.media.nal import (
    Bits,
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


def test_all_three_kinds_of_parameter_sets_of_hevc_are_taken_and_nothing_else() -> None:
    sets = b"".join(bytes([0x80 | kind]) + b"\0\x01\0\x01" + bytes([kind]) for kind in (31, 32, 33, 34, 35))
    assert hevc_record(bytes(21) + b"\x01\x05" + sets) == (2, [b"\x20", b"\x21", b"\x22"])
    assert hevc_record(bytes(21)) == (4, [])


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


def golomb(value: int) -> str:
    written = f"{value + 1:b}"
    return "0" * (len(written) - 1) + written


def scaled(lists: dict[int, str], width: int, level: int = 31) -> bytes:
    """A parameter set of the High profile with these scaling lists, whose picture numbers have `width` bits."""
    bits = f"{100:08b}{0:08b}{level:08b}" + golomb(0) + golomb(1) + golomb(0) + golomb(0) + "0" + "1"
    bits += "".join("1" + lists[place] if place in lists else "0" for place in range(8))
    bits += golomb(width - 4) + golomb(2) + golomb(4) + "0"
    bits += golomb(19) + golomb(14) + "1100" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {0: golomb(0) * 16},
        {5: golomb(0) * 16},
        {6: golomb(0) * 64},
        {7: golomb(0) * 64},
        {place: golomb(0) * (16 if place < 6 else 64) for place in range(8)},
        # From 8 by -8 to 0: the rest of the list is as the last, and not written.
        {0: golomb(16)},
        {6: golomb(15) * 8 + golomb(0) * 56},
        # From 8 by 120 and 128 to 256, which is 0 again.
        {5: golomb(239) + golomb(255)},
        {5: golomb(2) * 2 + golomb(12)},
    ],
    ids=lambda lists: "-".join(map(str, lists)) or "none",
)
def test_the_width_of_picture_numbers_is_found_behind_every_scaling_list(lists: dict[int, str]) -> None:
    assert [frame_number_width(scaled(lists, width)) for width in (4, 9, 16)] == [4, 9, 16]


def high(profile: int, head: str, order: str, *, gaps: str = "0") -> bytes:
    """A parameter set with these bits for the colours, nine bits for numbers, and then how these are ordered."""
    bits = f"{profile:08b}{0:08b}{31:08b}" + golomb(0) + head + golomb(5) + order + golomb(4) + gaps
    bits += golomb(19) + golomb(14) + "1100" + "1"
    bits += "0" * (-len(bits) % 8)
    return b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big")


BY_NUMBER = golomb(0) + golomb(2)
PLAIN = golomb(1) + golomb(0) * 2 + "0" + "0"


@pytest.mark.parametrize(
    ("unit", "width"),
    [
        (high(66, "", BY_NUMBER), 9),
        (high(77, "", golomb(2)), 9),
        (high(100, PLAIN, BY_NUMBER), 9),
        (high(110, golomb(2) + golomb(2) * 2 + "1" + "0", BY_NUMBER), 9),
        # Numbers that follow a cycle of three offsets.
        (high(100, PLAIN, golomb(1) + "1" + golomb(7) + golomb(3) + golomb(3) + golomb(6) * 3), 9),
        # Numbers may be left out, so that a gap tells nothing.
        (high(66, "", BY_NUMBER, gaps="1"), 0),
        (high(100, PLAIN, golomb(2), gaps="1"), 0),
        # Full colour, of which three pictures may be made that have numbers of their own.
        (high(244, golomb(3) + "0" + golomb(0) * 2 + "0" + "0", BY_NUMBER), 9),
        (high(244, golomb(3) + "1" + golomb(0) * 2 + "0" + "0", BY_NUMBER), 0),
        (high(244, golomb(3) + "0" + golomb(0) * 2 + "0" + "1" + ("0" * 11 + "1" + golomb(0) * 64), BY_NUMBER), 9),
    ],
)
def test_the_width_of_picture_numbers_is_found_in_every_profile(unit: bytes, width: int) -> None:
    assert frame_number_width(unit) == width


def test_a_byte_that_only_keeps_start_codes_out_is_no_part_of_a_number() -> None:
    assert [Bits(b"\0\0\3\1\x80").take(count) for count in (24, 32)] == [1, 0x180]
    assert Bits(b"\0\0\3\0\0\3\2").take(40) == 2
    assert Bits(b"\0\3\0").take(24) == 0x300
    unguarded = scaled({}, 9, level=0)
    assert unguarded[2:4] == b"\0\0"
    assert frame_number_width(unguarded[:4] + b"\3" + unguarded[4:]) == 9
