"""RTSP cameras end to end: real H.264 from a real server to boxed people, over every transport and login."""

from __future__ import annotations

from collections.abc import Generator
from typing import Literal

import numpy as np
import pytest

import pipeline
from pipeline.config.root import Config
from tests.support.clips import Clip, encode, street
from tests.support.servers.rtsp import RtspServer

Auth = Literal["basic", "digest"] | None

KEYFRAME_EVERY = 15
FPS = 15


@pytest.fixture(scope="module")
def clip() -> Clip:
    return encode(street(45, 1280, 720), fps=FPS, keyframe_every=KEYFRAME_EVERY)


def watched(url: str, transport: str) -> Generator[pipeline.Result, None, None]:
    settings = {"cameras": {"door": url}, "capture": {"transport": transport}, "model": {"name": "lookout-person"}}
    with pipeline.open(Config.model_validate(settings)) as results:
        yield from results


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("auth", [None, "basic", "digest"])
def test_people_of_an_rtsp_camera_are_boxed(
    clip: Clip, transport: str, auth: Literal["basic", "digest"] | None
) -> None:
    login = {"user": "viewer", "password": "pass:w@rd", "auth": auth} if auth else {}
    with RtspServer({"live": clip}, **login) as server:  # type: ignore[arg-type]
        results = watched(server.url("live"), transport)
        first = next(results)
        boxed = next(result for result in results if len(result.detections))
        results.close()
    assert server.verbs.count("PLAY") == 1, "the first connection was good"
    assert first.frame.picture.bgr().shape == (720, 1280, 3)
    assert boxed.detections.label(0) == "person"
    assert np.all(boxed.detections.boxes >= 0)
    assert np.all(boxed.detections.boxes[:, 2] <= 1280)
    assert set(server.transports) == {transport}
