"""Fixtures of what draws and serves pictures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pipeline.concurrency.threads import ThreadGroup
from tests.support.scenes import HandClock, Scene
from tests.support.servers.front import Front
from tests.support.serving import Serving, Start
from tests.support.wait import HANG_S


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def scene(clock: HandClock) -> Scene:
    return Scene(clock)


@pytest.fixture
def crew() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """Makes threads that must have ended, without an error, when the test is over."""
    made = ThreadGroup(lambda: None)
    yield made.start
    assert made.join(HANG_S) == []
    if made.error is not None:
        raise made.error


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


@pytest.fixture
def site() -> Iterator[Callable[..., Front]]:
    """Makes other sites, which may have a path that leads to a page."""
    with ExitStack() as stack:
        yield lambda *arguments, **settings: stack.enter_context(Front(*arguments, **settings))


@pytest.fixture(scope="session")
def chromium() -> Iterator[tuple[Any, Any]]:
    """One browser for all tests of this process, and the loop of its driver."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("needs chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["background-networking", "component-update", "sync", "gpu"]
    with sync_api.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{each}" for each in quiet)]
        chrome = driver.chromium.launch(executable_path=found, args=arguments, timeout=HANG_S * 1e3)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield chrome, loop
        asyncio._set_running_loop(loop)
        chrome.close()
    # The driver leaves its loop as the current one.
    asyncio.set_event_loop(None)


@pytest.fixture
def browser(chromium: tuple[Any, Any]) -> Iterator[Any]:
    """The browser, whose driver's loop counts as running in this thread only meanwhile: other tests run their own."""
    chrome, loop = chromium
    asyncio._set_running_loop(loop)
    yield chrome
    asyncio._set_running_loop(None)


@pytest.fixture
def allowed() -> list[str]:
    """Parts of the errors that pages may tell in their console: none but those that a test adds."""
    return []


@pytest.fixture
def visit(browser: Any, allowed: list[str]) -> Iterator[Callable[..., Any]]:
    """Opens a browser window of its own, with its own cookies; its pages may throw nothing and tell of no error."""
    opened: list[Any] = []
    troubles: list[str] = []

    def told(said: Any) -> None:
        if said.type == "error" or "Security" in said.text:
            troubles.append(f"{said.text} ({said.location['url']})")

    def start(**settings: Any) -> Any:
        opened.append(browser.new_context(**settings))
        opened[-1].set_default_timeout(HANG_S * 1e3)
        opened[-1].on("weberror", lambda error: troubles.append(str(error.error)))
        opened[-1].on("console", told)
        return opened[-1]

    yield start
    for each in opened:
        each.close()
    untold = [text for text in troubles if not any(part in text for part in allowed)]
    assert untold == [], untold


@pytest.fixture
def page(visit: Callable[..., Any]) -> Any:
    return visit(viewport={"width": 900, "height": 700}).new_page()
