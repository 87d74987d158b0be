"""The newest pictures of the page's server."""

from __future__ import annotations

from dataclasses import replace

from pipeline.stats.health import MAX_SHOWN_AGE_S
from pipeline.stats.registry import Stats
from pipeline.web.latest_frames import LatestFrames
from tests.support.scenes import HandClock, Scene


def test_of_a_camera_that_nobody_watched_only_a_picture_of_now_is_shown() -> None:
    clock = HandClock()
    stats = Stats(["door"], clock, undetected=["door"])
    frames = LatestFrames(stats, 80)
    scene = Scene(clock, "door", stats)
    scene.camera.captured()
    seen = replace(scene.result(age=0), detected=False)
    frames.put(scene.view(seen))
    clock.seconds += 30
    # The camera is silent as well, so that there is no newer one.
    shot = frames.newest_encoded("door")
    assert shot is not None
    assert shot.view.result is seen
    scene.camera.captured()
    assert frames.newest_encoded("door") is None
    newer = replace(scene.result(age=0), detected=False)
    frames.put(scene.view(newer))
    clock.seconds += MAX_SHOWN_AGE_S
    scene.camera.captured()
    shot = frames.newest_encoded("door")
    assert shot is not None
    assert shot.view.result is newer
    clock.seconds += 0.01
    scene.camera.captured()
    assert frames.newest_encoded("door") is None
