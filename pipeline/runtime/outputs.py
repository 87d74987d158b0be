"""Which outputs a run has, the class of each, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config.root import Config, Output, Web, Window
from pipeline.errors import OutputError
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.events.jsonl import EventsOutput
from pipeline.outputs.hls.live_stream import Broadcasts
from pipeline.outputs.hls.output import CopyHlsOutput, HlsOutput
from pipeline.outputs.protocols import Output as Opened
from pipeline.outputs.record.output import CopyOutput, RecordOutput
from pipeline.outputs.stream.output import CopyStreamOutput, StreamOutput
from pipeline.outputs.video import VideoOutput
from pipeline.outputs.window.display import display_available
from pipeline.outputs.window.output import WindowOutput
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput


def open_output(
    settings: Output,
    whole: Config,
    stats: Stats,
    start: Callable[[str, Callable[[], None]], None],
    broadcasts: Broadcasts,
    clips: Clips | None = None,
) -> Opened:
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


def chosen(outputs: tuple[Output, ...] | None) -> tuple[Output, ...]:
    """Those that were asked for, else a window, or a page where there is no display."""
    if outputs is not None:
        return outputs
    return (Output(window=Window()) if display_available() else Output(web=Web()),)


class Opener:
    """Opens outputs one after the other; `notice` hears where to look.

    `invite`, if given, hears a line with an address that lets one browser in without the token.
    """

    def __init__(
        self,
        config: Config,
        stats: Stats,
        start: Callable[[str, Callable[[], None]], None],
        clips: Clips,
        notice: Callable[[str], None],
        invite: Callable[[str], None] | None = None,
    ) -> None:
        self._config = config
        self._stats = stats
        self._start = start
        self._clips = clips
        self._broadcasts = Broadcasts(config, stats.clock)
        self._notice = notice
        self._invite = invite

    def open(self, settings: Output) -> Opened:
        """The output that the settings ask for; raises OutputError."""
        output = self._made(settings)
        try:
            output.open()
        except OutputError:
            # Nobody asked for this port, so any free one serves as well.
            if self._config.outputs is not None or settings.web is None:
                raise
            output = self._made(Output(web=Web(port=0)))
            output.open()
        for line in output.announcements():
            self._notice(line)
        if self._invite is not None and (line := output.invitation()):
            self._invite(line)
        return output

    def _made(self, settings: Output) -> Opened:
        return open_output(settings, self._config, self._stats, self._start, self._broadcasts, self._clips)
