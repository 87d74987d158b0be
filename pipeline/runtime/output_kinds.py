"""Results to eyes and files: a window, a page, video files, lines of events."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config import root as config
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.hls.live_stream import Broadcasts
from pipeline.outputs.hls.output import CopyHlsOutput, HlsOutput
from pipeline.outputs.protocols import Output
from pipeline.outputs.record.output import CopyOutput, RecordOutput
from pipeline.outputs.stream.output import CopyStreamOutput, StreamOutput
from pipeline.outputs.video import VideoOutput
from pipeline.outputs.window.display import display_available
from pipeline.outputs.window.output import WindowOutput
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput

__all__ = ["Broadcasts", "display_available", "open_output"]


def open_output(
    settings: config.Output,
    whole: config.Config,
    stats: Stats,
    start: Callable[[str, Callable[[], None]], None],
    broadcasts: Broadcasts,
    clips: Clips | None = None,
) -> Output:
    """The output that the settings ask for, not yet open; `start(name, body)` makes a thread.

    `broadcasts` carry what one output makes and another serves, `clips` are what the page hands out.
    """
    if settings.window is not None:
        return WindowOutput(settings.window, stats, stats.clock)
    if settings.web is not None:
        overlays = {name: camera.overlay for name, camera in whole.cameras.items()}
        return WebOutput(settings.web, stats, start, overlays, clips, broadcasts)
    if settings.hls is not None:
        output = HlsOutput if settings.hls.boxes == "burnt" else CopyHlsOutput
        return output(settings.hls, stats, broadcasts)
    if settings.video is not None:
        return VideoOutput(settings.video, tuple(whole.cameras))
    if settings.record is not None:
        kind = RecordOutput if settings.record.boxes == "burnt" else CopyOutput
        return kind(settings.record, whole.cameras, stats, start)
    if settings.stream is not None:
        made = StreamOutput if settings.stream.boxes == "burnt" else CopyStreamOutput
        return made(settings.stream, whole.cameras, stats, start)
    assert settings.events is not None
    return EventsOutput(settings.events, stats, stats.clock)
