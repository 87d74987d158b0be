"""Fixtures of the render tests."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from render_scenes import HandClock, Scene
from serving import Serving, Start

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


@pytest.fixture
def serve(crew: Start) -> Iterator[Callable[..., Serving]]:
    """Serves cameras on a page that wants a token, and ends with the test."""
    made: list[Serving] = []

    def start(*cameras: str, **settings: Any) -> Serving:
        made.append(Serving(crew, cameras or ("door",), **settings))
        return made[-1]

    yield start
    for each in made:
        each.web.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["background-networking", "component-update", "sync", "gpu"]
    with sync_api.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{each}" for each in quiet)]
        chrome = driver.chromium.launch(executable_path=chromium, args=arguments)
        yield chrome
        chrome.close()
    # The driver leaves its loop as the current one.
    asyncio.set_event_loop(None)


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 900, "height": 700})
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda said: troubles.append(said.text) if "Security" in said.text else None)
    yield opened
    opened.close()
    assert troubles == []
