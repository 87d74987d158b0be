"""Names of pictures over jumps and restarts, and what a page is sent of them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from pipeline.frames import Packet, Presentation
from pipeline.media.nal import codec_name
from pipeline.web.client_queue import ClientQueue
from pipeline.web.passthrough import Passthrough, TimestampMap
from tests.support.scenes import HandClock, Scene

KEY = b"\0\0\0\1\x67\x42\xc0\x1e\xda\0\0\0\1\x68\xce\0\0\0\1\x65data"


def packet(pts: float | None, captured: float, key: bool = False, name: str = "h264") -> Packet:
    return Packet("door", name, KEY if key else b"\0\0\0\1\x41data", key, pts, pts, captured, 640, 360)


@pytest.mark.parametrize(
    ("times", "stamps"),
    [
        ([(5.0, 0.0), (5.04, 0.04), (5.08, 0.08)], [0, 40_000, 80_000]),
        ([(5.0, 0.0), (52000.0, 0.04), (52000.04, 0.08)], [0, 40_000, 80_000]),
        ([(52000.0, 0.0), (5.0, 0.04), (5.04, 0.08)], [0, 40_000, 80_000]),
        ([(0.0, 0.0), (0.12, 0.04), (0.04, 0.08), (0.08, 0.12)], [0, 120_000, 40_000, 80_000]),
        ([(0.0, 0.0), (20.0, 20.0), (40.0, 40.0)], [0, 20_000_000, 40_000_000]),
    ],
    ids=["even", "jump ahead", "jump back", "out of order", "one in 20 s"],
)
def test_stamps_follow_the_stream_and_go_on_where_it_jumps(times: list[tuple[float, float]], stamps: list[int]) -> None:
    made = TimestampMap()
    assert [made.assign(packet(pts, captured, not place)) for place, (pts, captured) in enumerate(times)] == stamps
    assert made.take(times[-1][0]) == stamps[-1]
    assert made.take(times[-1][0]) is None


def test_a_camera_that_starts_its_clock_again_never_gets_the_same_stamp_twice() -> None:
    made = TimestampMap()
    first = [made.assign(packet(number / 30, number / 30, number % 10 == 0)) for number in range(20)]
    again = [made.assign(packet(number / 30, 3 + number / 30, number % 10 == 0)) for number in range(20)]
    assert first + again == sorted({*first, *again})
    assert again[0] - first[-1] == pytest.approx(3e6 - 19e6 / 30, abs=2)
    assert made.take(0.0) == again[0]


def test_pictures_without_a_time_keep_their_order() -> None:
    made = TimestampMap()
    stamps = [made.assign(packet(None, number / 30, not number)) for number in range(4)]
    assert stamps == sorted(set(stamps))
    made.discard_before(stamps[1])
    assert [made.take(None), made.take(None)] == stamps[1:3]


def test_the_codec_is_read_from_the_stream_itself() -> None:
    assert codec_name(KEY) == "avc1.42C01E"
    assert codec_name(b"\0\0\1\x65data") == ""


class Joined:
    """A passthrough with one page."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.scene = Scene(clock)
        self.passthrough = Passthrough(["door"], clock)
        self.queue = ClientQueue(clock, lambda: None)

    def told(self) -> list[dict[str, Any]]:
        """Everything that waits for the page; pictures as their headers."""
        found = []
        while (wire := self.queue.take()) is not None:
            found.append(json.loads(wire if isinstance(wire, str) else wire[4 : 4 + int.from_bytes(wire[:4], "big")]))
        return found


@pytest.fixture
def joined(clock: HandClock) -> Joined:
    return Joined(clock)


def test_a_page_that_joins_gets_the_keyframe_and_all_that_followed_with_a_word_on_each(joined: Joined) -> None:
    passthrough, clock = joined.passthrough, joined.clock
    for number in range(7):
        passthrough.packet(packet(number / 25, clock.seconds, number in (0, 2)))
        clock.seconds += 0.04
    for number in (0, 2, 5):
        passthrough.on_result(joined.scene.result(pts=number / 25))
    passthrough.on_drop(joined.scene.result(pts=6 / 25).frame)
    passthrough.follow(joined.queue, ["door", "nobody"])
    assert passthrough.watched("door")
    told = joined.told()
    assert [each["pts"] for each in told if "at" in each] == [number * 40_000 for number in range(2, 7)]
    assert told[0]["codec"] == "avc1.42C01E"
    assert [each.get("key") for each in told if "at" in each] == [True, None, None, None, None]
    words = {each["pts"] // 40_000: "boxes" in each for each in told if "at" not in each}
    assert words == {0: True, 1: False, 2: True, 3: False, 4: False, 5: True, 6: False}
    assert [each["pts"] // 40_000 for each in told if each.get("missed")] == [1, 3, 4, 6]
    passthrough.follow(joined.queue, [])
    assert not passthrough.watched("door")


def test_a_picture_that_no_device_looked_at_is_shown_without_boxes_at_once(joined: Joined) -> None:
    passthrough, clock = joined.passthrough, joined.clock
    for number in range(2):
        passthrough.packet(packet(number / 25, clock.seconds, number == 0))
        passthrough.on_result(replace(joined.scene.result(pts=number / 25), detected=number != 1))
    passthrough.follow(joined.queue, ["door"])
    told = [each for each in joined.told() if "at" not in each and "pts" in each]
    assert [("boxes" in each, each.get("missed", False)) for each in told] == [
        (True, False),
        (False, True),
    ]


def test_a_page_is_sent_nothing_twice_that_came_while_it_joined(joined: Joined) -> None:
    async def join() -> None:
        passthrough = joined.passthrough
        passthrough.attach(asyncio.get_running_loop())
        passthrough.follow(joined.queue, ["door"])
        for number in range(3):
            passthrough.packet(packet(number / 25, 100 + number / 25, not number))
        passthrough.follow(joined.queue, [])
        passthrough.follow(joined.queue, ["door"])
        await asyncio.sleep(0)

    asyncio.run(join())
    assert [each["pts"] for each in joined.told()] == [0, 40_000, 80_000]


def test_the_hold_follows_the_slowest_boxes_and_the_offer_what_can_be_shown(joined: Joined) -> None:
    passthrough, clock = joined.passthrough, joined.clock
    assert passthrough.offer("door") is None
    for number in range(50):
        passthrough.packet(packet(number / 25, clock.seconds, not number))
        clock.seconds += 0.03 if number % 10 else 0.12
        passthrough.on_result(joined.scene.result(pts=number / 25))
    offer = passthrough.offer("door")
    assert offer is not None
    assert offer[:2] == ("avc1.42C01E", pytest.approx(0.17))
    passthrough.packet(packet(1.0, clock.seconds, True, "hevc"))
    assert passthrough.offer("door") is None


def test_boxes_of_a_picture_without_a_time_are_those_of_one_that_came_after_the_last_found(joined: Joined) -> None:
    passthrough, clock = joined.passthrough, joined.clock
    for number, pts in enumerate((0.0, None, 0.08, None)):
        passthrough.packet(packet(pts, clock.seconds, not number))
        clock.seconds += 0.04
    passthrough.on_result(joined.scene.result(pts=0.08))
    passthrough.on_result(joined.scene.result(pts=None))
    passthrough.on_result(joined.scene.result(pts=None))
    passthrough.follow(joined.queue, ["door"])
    told = joined.told()
    stamps = [each["pts"] for each in told if "at" in each]
    words = [(stamps.index(each["pts"]), "boxes" in each) for each in told if "at" not in each]
    assert words == [(0, False), (1, False), (2, True), (3, True)]


def test_pictures_that_browsers_would_not_turn_are_not_offered(joined: Joined) -> None:
    passthrough, clock = joined.passthrough, joined.clock
    passthrough.packet(packet(0.0, clock.seconds, True))
    assert passthrough.size("door") == (640, 360)
    clock.seconds += 2
    assert passthrough.offer("door") == ("avc1.42C01E", pytest.approx(0.15), pytest.approx(2))
    for asked, size in ((Presentation(90), (360, 640)), (Presentation(0, True), (640, 360))):
        passthrough.packet(replace(packet(0.1, clock.seconds), presentation=asked))
        assert passthrough.offer("door") is None
        assert passthrough.size("door") == size
    passthrough.packet(replace(packet(0.2, clock.seconds), presentation=Presentation(pixel_aspect=Fraction(2))))
    assert passthrough.offer("door") is not None
    assert passthrough.size("door") == (1280, 360)
    passthrough.follow(joined.queue, ["door"])
    assert [each for each in joined.told() if "at" not in each] == []
