"""Fixtures of the render tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from render_scenes import HandClock, Scene

from pipeline.worker import Crew


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def scene(clock: HandClock) -> Scene:
    return Scene(clock)


@pytest.fixture
def crew() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """Makes threads that must have ended, without an error, when the test is over."""
    made = Crew(lambda: None)
    yield made.start
    assert made.join(5.0) == []
    assert made.error is None
