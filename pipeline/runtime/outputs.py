"""Which outputs a run has, and how they are opened."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.config.root import Config, Output, Web, Window
from pipeline.errors import OutputError
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.protocols import Output as Opened
from pipeline.stats.registry import Stats
from pipeline.web.auth.login_code import MINUTES
from pipeline.web.output import WebOutput

from .output_kinds import Broadcasts, display_available, open_output


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
        for line in getattr(output, "announced", ()):
            self._notice(line)
        if self._invite is not None and isinstance(output, WebOutput) and (address := output.invite()):
            self._invite(f"without the token, once and within {MINUTES} minutes: {address}")
        return output

    def _made(self, settings: Output) -> Opened:
        return open_output(settings, self._config, self._stats, self._start, self._broadcasts, self._clips)
