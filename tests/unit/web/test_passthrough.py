"""Names of pictures over jumps and restarts, and what a page is sent of them."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

import pytest

from pipeline.frames import Packet
from pipeline.media.nal import codec_name
from pipeline.web.page_queue import Feed, Message
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
    assert [made.place(packet(pts, captured, not place)) for place, (pts, captured) in enumerate(times)] == stamps
    assert made.find(times[-1][0]) == stamps[-1]
    assert made.find(times[-1][0]) is None


def test_a_camera_that_starts_its_clock_again_never_gets_the_same_stamp_twice() -> None:
    made = TimestampMap()
    first = [made.place(packet(number / 30, number / 30, number % 10 == 0)) for number in range(20)]
    again = [made.place(packet(number / 30, 3 + number / 30, number % 10 == 0)) for number in range(20)]
    assert first + again == sorted({*first, *again})
    assert again[0] - first[-1] == pytest.approx(3e6 - 19e6 / 30, abs=2)
    assert made.find(0.0) == again[0]


def test_pictures_without_a_time_keep_their_order() -> None:
    made = TimestampMap()
    stamps = [made.place(packet(None, number / 30, not number)) for number in range(4)]
    assert stamps == sorted(set(stamps))
    made.settle(stamps[1])
    assert [made.find(None), made.find(None)] == stamps[1:3]


def test_the_codec_is_read_from_the_stream_itself() -> None:
    assert codec_name(KEY) == "avc1.42C01E"
    assert codec_name(b"\0\0\1\x65data") == ""


class Joined:
    """A relay with one page."""

    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.scene = Scene(clock)
        self.relay = Passthrough(["door"], clock)
        self.feed = Feed(clock, lambda: None)

    def told(self) -> list[dict[str, Any]]:
        """Everything that waits for the page; pictures as their headers."""
        found = []
        while (wire := self.feed.take()) is not None:
            found.append(json.loads(wire if isinstance(wire, str) else wire[4 : 4 + int.from_bytes(wire[:4], "big")]))
        return found


@pytest.fixture
def joined(clock: HandClock) -> Joined:
    return Joined(clock)


def test_a_page_that_joins_gets_the_keyframe_and_all_that_followed_with_a_word_on_each(joined: Joined) -> None:
    relay, clock = joined.relay, joined.clock
    for number in range(7):
        relay.packet(packet(number / 25, clock.seconds, number in (0, 2)))
        clock.seconds += 0.04
    for number in (0, 2, 5):
        relay.found(joined.scene.result(pts=number / 25))
    relay.missed(joined.scene.result(pts=6 / 25).frame)
    relay.follow(joined.feed, ["door", "nobody"])
    assert relay.watched("door")
    told = joined.told()
    assert [each["pts"] for each in told if "at" in each] == [number * 40_000 for number in range(2, 7)]
    assert told[0]["codec"] == "avc1.42C01E"
    words = {each["pts"] // 40_000: "boxes" in each for each in told if "at" not in each}
    assert words == {0: True, 1: False, 2: True, 3: False, 4: False, 5: True, 6: False}
    relay.follow(joined.feed, [])
    assert not relay.watched("door")


def test_a_page_is_sent_nothing_twice_that_came_while_it_joined(joined: Joined) -> None:
    async def join() -> None:
        relay = joined.relay
        relay.attach(asyncio.get_running_loop())
        relay.follow(joined.feed, ["door"])
        for number in range(3):
            relay.packet(packet(number / 25, 100 + number / 25, not number))
        relay.follow(joined.feed, [])
        relay.follow(joined.feed, ["door"])
        await asyncio.sleep(0)

    asyncio.run(join())
    assert [each["pts"] for each in joined.told()] == [0, 40_000, 80_000]


def test_the_hold_follows_the_slowest_boxes_and_the_offer_what_can_be_shown(joined: Joined) -> None:
    relay, clock = joined.relay, joined.clock
    assert relay.offer("door") is None
    for number in range(50):
        relay.packet(packet(number / 25, clock.seconds, not number))
        clock.seconds += 0.03 if number % 10 else 0.12
        relay.found(joined.scene.result(pts=number / 25))
    offer = relay.offer("door")
    assert offer is not None
    assert offer[:2] == ("avc1.42C01E", pytest.approx(0.17))
    relay.packet(packet(1.0, clock.seconds, True, "hevc"))
    assert relay.offer("door") is None


def test_a_feed_that_is_not_read_loses_its_past_and_waits_for_a_keyframe(clock: HandClock) -> None:
    feed = Feed(clock, lambda: None)
    feed.join("door", [], 0)
    for number in range(1, 225):
        feed.push(Message("door", number, number % 30 == 0, str(number)))
        clock.seconds += 1 / 30
    assert feed.skips >= 2
    left = [int(wire) for wire in iter(feed.take, None) if isinstance(wire, str)]
    assert left[0] % 30 == 0
    assert len(left) <= 62
    assert all(after == before + 1 for before, after in itertools.pairwise(left))
