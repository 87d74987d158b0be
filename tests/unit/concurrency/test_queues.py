"""Lanes drop or wait as told, report every loss, and no lane starves."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from pipeline.concurrency.queues import Channel, Funnel
from tests.support.wait import HANG_S


def test_a_live_lane_keeps_the_newest_item_and_reports_the_older_ones() -> None:
    dropped: list[tuple[int, str]] = []
    funnel: Funnel[int] = Funnel()
    lane = funnel.lane(1, latest=True, dropped=lambda item, reason: dropped.append((item, reason)))
    for item in range(5):
        assert lane.put(item)
    assert funnel.get() == 4
    assert dropped == [(0, "stale"), (1, "stale"), (2, "stale"), (3, "stale")]


def test_a_blocking_lane_loses_nothing_and_keeps_the_order() -> None:
    funnel: Funnel[int] = Funnel()
    lane = funnel.lane(2)

    def write() -> None:
        for item in range(500):
            assert lane.put(item)
        lane.close()

    writer = threading.Thread(target=write)
    writer.start()
    read = list(funnel)
    writer.join(HANG_S)
    assert read == list(range(500))


def test_the_lane_that_was_served_longest_ago_comes_first() -> None:
    funnel: Funnel[str] = Funnel()
    lanes = {name: funnel.lane(8) for name in "abc"}
    for name in "aaaa", "bb", "c":
        for letter in name:
            lanes[letter].put(letter)
    assert [funnel.get_nowait() for _ in range(7)] == list("abcabaa")
    assert funnel.get_nowait() is None


def test_a_busy_lane_does_not_starve_a_quiet_one() -> None:
    funnel: Funnel[str] = Funnel()
    busy, quiet = funnel.lane(1, latest=True), funnel.lane(1, latest=True)
    seen: Counter[str] = Counter()
    for _ in range(20):
        busy.put("busy")
        quiet.put("quiet")
        seen[str(funnel.get())] += 1
        busy.put("busy")
        seen[str(funnel.get())] += 1
    assert seen["quiet"] == 20


def test_closing_lets_the_reader_drain_and_discarding_reports_what_is_lost() -> None:
    dropped: list[tuple[int, str]] = []
    funnel: Funnel[int] = Funnel()
    lane = funnel.lane(4, dropped=lambda item, reason: dropped.append((item, reason)))
    lane.put(1)
    lane.put(2)
    funnel.close()
    assert not lane.put(3)
    assert list(funnel) == [1, 2]
    assert dropped == [(3, "stopped")]

    other: Funnel[int] = Funnel()
    lane = other.lane(4, dropped=lambda item, reason: dropped.append((item, reason)))
    lane.put(7)
    other.close(discard=True)
    assert other.get() is None
    assert dropped[1:] == [(7, "stopped")]


def test_a_lane_made_after_closing_is_closed() -> None:
    funnel: Funnel[int] = Funnel()
    funnel.close()
    assert funnel.ended
    assert not funnel.lane().put(1)


def test_a_blocked_writer_is_freed_by_closing() -> None:
    funnel: Funnel[int] = Funnel()
    lane = funnel.lane(1)
    lane.put(1)
    answers: list[bool] = []
    writer = threading.Thread(target=lambda: answers.append(lane.put(2)))
    writer.start()
    funnel.close(discard=True)
    writer.join(HANG_S)
    assert answers == [False]


def test_get_gives_up_after_its_timeout() -> None:
    funnel: Funnel[int] = Funnel()
    funnel.lane()
    assert funnel.get(0.01) is None
    assert not funnel.ended


def test_a_channel_is_a_funnel_of_one() -> None:
    channel: Channel[int] = Channel(3)
    assert [channel.put(item) for item in (1, 2, 3)] == [True] * 3
    channel.close()
    assert list(channel) == [1, 2, 3]
    assert not channel.put(4)


@pytest.mark.parametrize("latest", [True, False])
def test_what_goes_in_is_read_or_reported_exactly_once_under_load(latest: bool) -> None:
    funnel: Funnel[tuple[int, int]] = Funnel()
    dropped: list[tuple[int, int]] = []
    lock = threading.Lock()

    def lost(item: tuple[int, int], reason: str) -> None:
        with lock:
            dropped.append(item)

    lanes = [funnel.lane(1, latest=latest, dropped=lost) for _ in range(4)]

    def write(number: int) -> None:
        for count in range(300):
            lanes[number].put((number, count))
        lanes[number].close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    read = list(funnel)
    for writer in writers:
        writer.join(HANG_S)
    assert sorted(read + dropped) == [(number, count) for number in range(4) for count in range(300)]
    for number in range(4):
        counts = [count for lane, count in read if lane == number]
        assert counts == sorted(counts)
    assert latest or not dropped
