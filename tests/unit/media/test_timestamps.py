"""Times in files count up from 0, whatever the clock of a camera does."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.frames import Packet
from pipeline.media.timestamps import TICKS_PER_S, PacketTimeline, PictureTimeline

STEP = TICKS_PER_S // 25
"""Ticks between two pictures of a camera that gives 25 a second."""


def packet(pts: float | None, dts: float | None = None) -> Packet:
    return Packet("door", "h264", b"", False, pts, dts, 0.0, 640, 360)


def placed(*times: tuple[float | None, float | None]) -> list[tuple[int, int]]:
    timeline = PacketTimeline()
    return [timeline.place(packet(*each)) for each in times]


def test_a_second_has_ninety_thousand_ticks() -> None:
    timeline = PictureTimeline()
    assert [timeline.ticks(50 + seconds) for seconds in (0.0, 0.5, 1.0, 60.0)] == [0, 45_000, 90_000, 5_400_000]
    assert placed((50.0, 50.0), (50.5, 50.5), (51.0, 51.0)) == [(0, 0), (45_000, 45_000), (90_000, 90_000)]


@pytest.mark.parametrize("again", [3.0, 10.24 - 5.0, 10.2, 10.24])
def test_pictures_whose_time_jumps_back_or_stands_still_go_on_at_the_pace_before(again: float) -> None:
    timeline = PictureTimeline()
    ticks = [timeline.ticks(10 + number / 25) for number in range(7)]
    ticks += [timeline.ticks(again + number / 25) for number in range(5)]
    assert ticks == [STEP * number for number in range(12)]


def test_pictures_whose_time_stands_still_at_the_start_are_taken_for_thirty_a_second() -> None:
    timeline = PictureTimeline()
    assert [timeline.ticks(8.0) for _ in range(4)] == [0, 3000, 6000, 9000]


def test_pictures_closer_than_a_tick_still_count_up() -> None:
    timeline = PictureTimeline()
    ticks = [timeline.ticks(number * 1e-7) for number in range(20)]
    assert all(after > before for before, after in pairwise(ticks))
    assert placed(*[(number * 1e-7, None) for number in range(4)]) == [(0, 0), (1, 1), (2, 2), (3, 3)]


def test_packets_are_placed_by_when_they_are_decoded_and_shown() -> None:
    # B-frames: shown in another order than they come.
    assert placed((7.08, 7.0), (7.2, 7.04), (7.12, 7.08), (7.16, 7.12)) == [
        (2 * STEP, 0),
        (5 * STEP, STEP),
        (3 * STEP, 2 * STEP),
        (4 * STEP, 3 * STEP),
    ]


def test_no_packet_is_shown_before_it_is_decoded() -> None:
    assert placed((7.0, 7.0), (7.0, 7.04), (None, 7.08)) == [(0, 0), (STEP, STEP), (2 * STEP, 2 * STEP)]


@pytest.mark.parametrize("jump", [-1000.0, -0.04, -0.2, 10.0, 4000.0])
def test_a_jump_of_the_cameras_clock_is_joined(jump: float) -> None:
    before = [(7 + number / 25, 7 + number / 25) for number in range(6)]
    after = [(pts + jump + 6 / 25, dts + jump + 6 / 25) for pts, dts in before]
    assert [shown for shown, _ in placed(*before, *after)] == [STEP * number for number in range(12)]


def test_a_pause_of_ten_seconds_is_no_jump() -> None:
    assert [decoded for _, decoded in placed((1.0, 1.0), (2.0, 2.0), (12.0, 12.0), (22.5, 22.5))] == [
        0,
        TICKS_PER_S,
        11 * TICKS_PER_S,
        21 * TICKS_PER_S,
    ]


def test_packets_without_times_go_on_at_the_pace_before() -> None:
    assert placed((7.0, None), (7.04, None), (None, None), (7.12, None)) == [
        (STEP * number, STEP * number) for number in range(4)
    ]
    assert placed((None, None), (None, None), (None, None)) == [(0, 0), (3000, 3000), (6000, 6000)]


def test_the_end_of_a_file_is_known_from_its_newest_packet() -> None:
    timeline = PacketTimeline()
    assert (timeline.seconds, timeline.interval) == (0, pytest.approx(1 / 30))
    for number in range(5):
        timeline.place(packet(7 + number / 25))
    assert (timeline.seconds, timeline.interval) == pytest.approx((4 / 25, 1 / 25))
