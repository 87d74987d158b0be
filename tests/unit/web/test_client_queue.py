"""The queue of one page: what waits in it, what is thrown away, and how messages are packed."""

from __future__ import annotations

import itertools
import json

import pytest

from pipeline.web import limits
from pipeline.web.client_queue import ClientQueue, Message, binary_message
from tests.support.scenes import HandClock


@pytest.fixture
def woken() -> list[None]:
    """One entry for each time the page was woken."""
    return []


@pytest.fixture
def queue(clock: HandClock, woken: list[None]) -> ClientQueue:
    return ClientQueue(clock, lambda: woken.append(None))


def message(number: int, key: bool = False, camera: str = "door", size: int = 1) -> Message:
    return Message(camera, number, key, bytes([number]) * size)


def sent(queue: ClientQueue) -> list[int]:
    """The numbers of all that waits."""
    return [wire[0] for wire in iter(queue.take, None) if isinstance(wire, bytes)]


def test_a_queue_that_is_not_read_loses_its_past_and_waits_for_a_keyframe(clock: HandClock) -> None:
    queue = ClientQueue(clock, lambda: None)
    queue.join("door", [], 0)
    for number in range(1, 225):
        queue.push(Message("door", number, number % 30 == 0, str(number)))
        clock.seconds += 1 / 30
    assert queue.skips >= 2
    left = [int(wire) for wire in iter(queue.take, None) if isinstance(wire, str)]
    assert left[0] % 30 == 0
    assert len(left) <= 62
    assert all(after == before + 1 for before, after in itertools.pairwise(left))


def test_a_page_that_joins_gets_the_recent_messages_and_none_of_them_again(
    queue: ClientQueue, woken: list[None]
) -> None:
    queue.join("door", [message(3, key=True), message(4)], 4)
    assert woken == [None]
    for number in (3, 4, 5):
        queue.push(message(number))
    assert sent(queue) == [3, 4, 5]
    assert woken == [None, None]


def test_a_page_that_joins_without_a_keyframe_waits_for_one(queue: ClientQueue) -> None:
    queue.join("door", [], 4)
    for number in (5, 6):
        queue.push(message(number))
    assert queue.take() is None
    queue.push(message(7, key=True))
    queue.push(message(8))
    assert sent(queue) == [7, 8]


def test_a_camera_that_is_left_takes_its_messages_along(queue: ClientQueue) -> None:
    for camera in ("door", "yard"):
        queue.join(camera, [message(1, key=True, camera=camera, size=3)], 1)
    queue.push(message(2, camera="yard", size=3))
    queue.leave("door")
    assert queue.cameras == {"yard"}
    assert sent(queue) == [1, 2]
    assert queue.skips == 0


@pytest.mark.parametrize(("room", "skips"), [(0, 0), (-1, 1)])
def test_a_queue_holds_exactly_its_bytes(
    queue: ClientQueue, room: int, skips: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUE_BYTES", 30 + room)
    queue.join("door", [message(1, key=True, size=10)], 1)
    for number in (2, 3):
        queue.push(message(number, size=10))
    assert queue.skips == skips
    assert sent(queue) == ([1, 2, 3] if not skips else [])


@pytest.mark.parametrize(("late", "skips"), [(0.0, 0), (0.1, 1)])
def test_a_message_waits_exactly_as_long_as_allowed(
    queue: ClientQueue, clock: HandClock, late: float, skips: int
) -> None:
    clock.seconds = 0.0
    queue.join("door", [message(1, key=True)], 1)
    clock.seconds = limits.MAX_QUEUE_WAIT_S + late
    queue.push(message(2, key=True))
    assert (queue.skips, sent(queue)) == (skips, [2] if skips else [1, 2])


def test_one_large_message_goes_into_an_empty_queue(queue: ClientQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_QUEUE_BYTES", 5)
    queue.join("door", [message(1, key=True, size=10)], 1)
    assert sent(queue) == [1]
    queue.push(message(2, size=10))
    assert sent(queue) == [2]


def test_a_binary_message_is_its_header_with_its_length_and_the_body() -> None:
    wire = binary_message({"camera": "door", "pts": 5}, b"picture")
    length = int.from_bytes(wire[:4], "big")
    assert json.loads(wire[4 : 4 + length]) == {"camera": "door", "pts": 5}
    assert wire[4 + length :] == b"picture"


def test_a_queue_is_told_of_a_camera_from_its_next_keyframe_on_and_no_more_once_it_leaves(clock: HandClock) -> None:
    woken: list[int] = []
    queue = ClientQueue(clock, lambda: woken.append(1))
    queue.join("door", [], 7)
    queue.join("yard", [Message("yard", 1, True, "yard 1")], 1)
    for number in range(6, 12):
        queue.push(Message("door", number, number in (7, 10), f"door {number}"))
    queue.push(Message("yard", 1, True, "yard 1 again"))
    queue.push(Message("yard", 2, False, b"yard 2"))
    assert len(woken) == 5
    assert queue.cameras == {"door", "yard"}
    assert queue.take() == "yard 1"
    queue.leave("door")
    assert (queue.take(), queue.take(), queue.cameras) == (b"yard 2", None, {"yard"})
    queue.join("door", [], 12)
    queue.push(Message("door", 13, False, "door 13"))
    assert queue.take() is None


def test_a_queue_whose_messages_are_too_large_loses_them_at_once(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.limits.MAX_QUEUE_BYTES", 10)
    queue = ClientQueue(clock, lambda: None)
    queue.join("door", [], 0)
    for number, size in ((1, 6), (2, 4), (3, 1), (4, 3)):
        queue.push(Message("door", number, number in (1, 4), str(number) * size))
    assert queue.skips == 1
    assert (queue.take(), queue.take()) == ("444", None)
    queue.push(Message("door", 5, False, "5" * 10))
    queue.push(Message("door", 6, False, "6"))
    assert (queue.skips, queue.take()) == (2, None)
