"""The pauses between tries grow, begin anew after success, and differ from thing to thing."""

from __future__ import annotations

import pytest

from pipeline.concurrency.backoff import DELAYS_S, HEALTHY_S, LOCKED_OUT_S, Backoff


def test_the_pauses_grow_to_ten_seconds_and_stay_there() -> None:
    backoff = Backoff("door")
    assert DELAYS_S == (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
    expected = [*DELAYS_S, 10.0, 10.0]
    assert [backoff.next() for _ in expected] == [pytest.approx(delay, rel=0.2) for delay in expected]
    assert backoff.losses == len(expected)


def test_only_half_a_minute_of_success_begins_anew() -> None:
    backoff = Backoff("door")
    for _ in range(4):
        backoff.next()
    assert backoff.next(HEALTHY_S - 0.01) == pytest.approx(4.0, rel=0.2)
    assert backoff.next(HEALTHY_S) == pytest.approx(0.25, rel=0.2)
    assert backoff.next() == pytest.approx(0.5, rel=0.2)


def test_a_refused_password_is_never_tried_again_within_a_minute() -> None:
    backoff = Backoff("door")
    pauses = [backoff.next(refused=True) for _ in range(200)]
    assert min(pauses) >= LOCKED_OUT_S == 60
    assert max(pauses) <= LOCKED_OUT_S * 1.2 / 0.8


def test_the_pauses_of_two_cameras_part_and_use_all_of_their_fifth() -> None:
    door, yard = Backoff("door"), Backoff("yard")
    assert [door.next() for _ in range(5)] != [yard.next() for _ in range(5)]
    many = [door.next() for _ in range(500)]
    assert 8.0 <= min(many) < 8.4
    assert 11.6 < max(many) <= 12.0
