"""What an output is made with, for one that a test makes by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.config.cameras import Camera
from pipeline.outputs import OutputContext
from pipeline.stats.registry import Stats

Start = Callable[[str, Callable[[], None]], None]


def context(stats: Stats, start: Start = lambda name, body: None, **more: Any) -> OutputContext:
    """The context of an output of the cameras that `stats` counts, which give packets unless `more` says otherwise."""
    cameras = {name: Camera(source="rtsp://camera.example/live") for name in stats.cameras}
    return OutputContext(cameras, stats, start, **{"packet_cameras": frozenset(cameras), **more})
