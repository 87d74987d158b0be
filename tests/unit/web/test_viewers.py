"""Who is counted as a viewer of the page's server, and who is one too many."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.web.passthrough import Passthrough
from pipeline.web.viewers import Viewer, ViewerRegistry
from tests.support.scenes import HandClock

CAMERAS = ("door", "yard")


@pytest.fixture
def registry(clock: HandClock) -> ViewerRegistry:
    """A registry with room for two viewers of two cameras, one of them with HLS."""
    return ViewerRegistry(CAMERAS, Passthrough(CAMERAS, clock), {"door": HlsStream(clock)}, clock, 2)


def entered(registry: ViewerRegistry, *names: str) -> Viewer:
    viewer = registry.enter(names)
    assert viewer is not None
    return viewer


def test_pages_and_players_share_the_room(registry: ViewerRegistry, clock: HandClock) -> None:
    viewer = entered(registry, "yard")
    assert registry.admit_player("door", "10.0.0.1")
    assert (registry.count(), registry.count("door"), registry.count("yard")) == (2, 1, 1)
    assert registry.enter() is None
    assert not registry.admit_player("door", "10.0.0.2")
    assert registry.admit_player("door", "10.0.0.1"), "a player that is known already was refused"
    registry.leave(viewer)
    assert registry.count() == 1
    assert registry.admit_player("door", "10.0.0.2")
    clock.seconds += 60
    assert registry.count() == 0
    entered(registry)


def test_a_viewer_of_no_camera_counts_as_a_viewer_of_the_server_only(registry: ViewerRegistry) -> None:
    entered(registry)
    assert (registry.count(), registry.count("door")) == (1, 0)


def test_a_viewer_watches_the_cameras_it_asks_for_last_and_no_unknown_ones(registry: ViewerRegistry) -> None:
    viewer = entered(registry, "door")
    assert registry.taking_jpeg("door") == [viewer]
    registry.watch(viewer, ["yard", "cellar"])
    assert viewer.names == {"yard"}
    assert (registry.taking_jpeg("door"), registry.taking_jpeg("yard")) == ([], [viewer])
    assert registry.taking_jpeg("cellar") == []


def test_a_viewer_that_decodes_by_itself_needs_no_jpeg(registry: ViewerRegistry) -> None:
    viewer = entered(registry)
    registry.watch(viewer, ["yard"], ["door"])
    assert viewer.names == {"door", "yard"}
    assert viewer.queue.cameras == {"door"}
    assert registry.taking_jpeg("door") == []
    registry.leave(viewer)
    assert viewer.queue.cameras == set()


def test_a_closed_registry_lets_nobody_in(registry: ViewerRegistry) -> None:
    assert not registry.closed
    registry.close()
    assert registry.closed
    assert registry.enter() is None
    assert not registry.admit_player("door", "10.0.0.1")


def test_viewers_are_woken_from_any_thread_when_the_server_ends(registry: ViewerRegistry) -> None:
    async def wait() -> None:
        loop = asyncio.get_running_loop()
        registry.attach(loop)
        viewer = entered(registry)
        await loop.run_in_executor(None, registry.close)
        await asyncio.wait_for(viewer.woken(), 20)

    asyncio.run(wait())


def test_waking_after_the_loop_has_ended_is_harmless(registry: ViewerRegistry) -> None:
    async def attach() -> Viewer:
        registry.attach(asyncio.get_running_loop())
        return entered(registry)

    viewer = asyncio.run(attach())
    for _ in range(2):
        registry.wake([viewer])


def test_a_viewer_waits_no_longer_than_it_says(registry: ViewerRegistry) -> None:
    async def wait() -> bool:
        viewer = entered(registry)
        await viewer.wait(0.001)
        viewer.wake()
        await viewer.wait(1000)
        return True

    assert asyncio.run(wait())
