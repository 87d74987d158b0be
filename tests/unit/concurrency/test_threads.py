"""A crew stops together, keeps the first error and names who will not end."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from pipeline.concurrency.threads import ThreadGroup, alive
from tests.support.wait import HANG_S


def wait_for(release: threading.Event) -> None:
    release.wait(HANG_S)


def test_the_first_error_stops_everybody_and_is_kept() -> None:
    stops: list[int] = []
    crew = ThreadGroup(lambda: stops.append(1))

    def fail() -> None:
        raise ValueError("first")

    def fail_later() -> None:
        crew.stopping.wait(HANG_S)
        raise ValueError("second")

    crew.start("late", fail_later)
    crew.start("early", fail)
    assert crew.join(HANG_S) == []
    assert str(crew.error) == "first"
    assert stops == [1]


def test_a_thread_that_will_not_end_is_named() -> None:
    release = threading.Event()
    crew = ThreadGroup(lambda: None)
    crew.start("stuck", partial(wait_for, release))
    crew.stop()
    assert crew.working() == ["stuck"]
    assert crew.join(0.05) == ["stuck"]
    release.set()
    assert crew.join(HANG_S) == []


def test_stopping_twice_calls_the_owner_once() -> None:
    stops: list[int] = []
    crew = ThreadGroup(lambda: stops.append(1))
    crew.stop()
    crew.stop(ValueError("late"))
    assert stops == [1]
    assert isinstance(crew.error, ValueError)


@pytest.mark.parametrize("name", ["record-write", "stream-door", "pass-on", "resolve-host", "fetch-model", "web-clips"])
def test_every_thread_is_known_while_it_runs(name: str) -> None:
    release = threading.Event()
    crew = ThreadGroup(lambda: None)
    crew.start(name, partial(wait_for, release))
    assert name in alive()
    release.set()
    assert crew.join(HANG_S) == []
    assert name not in alive()
