"""The status in the terminal: one line a camera, in place on a terminal, now and then in a log."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipeline.stats.camera import CameraFigures, State

from .streams import silence

log = logging.getLogger(__name__)

_LOG_EVERY_COUNT = 5
_NONE: Mapping[str, Mapping[str, str]] = {}
_STYLES = {State.LIVE: "green", State.ENDED: "", State.CONNECTING: "yellow", State.LATE: "yellow"}


class Terminal(Console):
    """A console that falls silent when nobody reads it any more, or its disk is full."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        try:
            super().__exit__(exc_type, exc_value, traceback)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence(self.file)


class Status:
    """Prints notices and, between them, how every camera is doing; safe from any thread."""

    def __init__(self, console: Console, *, as_records: bool = False) -> None:
        """Print to a console; `as_records` logs what cameras do instead of printing it."""
        self._console = console
        self._as_records = as_records
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._ticks = 0
        self._closed = False

    def __enter__(self) -> Status:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the last status where it stands."""
        self._closed = True
        self._live.stop()

    def notice(self, line: str) -> None:
        """Print one line above the status."""
        self._console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def tick(self, cameras: Sequence[CameraFigures], outputs: Mapping[str, Mapping[str, str]] = _NONE) -> None:
        """Show the figures of this second, and what is to be told of the parts of each output."""
        if self._closed:
            return
        if self._as_records:
            if self._ticks % _LOG_EVERY_COUNT == 0:
                _log(cameras)
        elif self._console.is_terminal:
            self._live.start()
            self._live.update(Text("\n").join(lines(cameras, outputs)), refresh=True)
        elif self._ticks % _LOG_EVERY_COUNT == 0:
            for line in lines(cameras, outputs):
                self._console.print(line.plain, markup=False, highlight=False, soft_wrap=True)
        self._ticks += 1


def _log(cameras: Sequence[CameraFigures]) -> None:
    for camera in cameras:
        log.info("%s", _line(camera, 0).plain, extra={"camera": camera.name, "figures": asdict(camera)})


def lines(cameras: Sequence[CameraFigures], outputs: Mapping[str, Mapping[str, str]] = _NONE) -> list[Text]:
    """One line for each camera, and for each part of an output that has something to tell, names in a column."""
    names = [*(camera.name for camera in cameras), *(name for name in outputs if outputs[name])]
    width = max(map(len, names), default=0)
    told = [_told(name.ljust(width + 2), part, text) for name, parts in outputs.items() for part, text in parts.items()]
    return [*(_line(camera, width) for camera in cameras), *told]


def _told(name: str, part: str, text: str) -> Text:
    return Text.assemble((name, "bold"), text if part in text else f"{part}: {text}", no_wrap=True, overflow="ellipsis")


def _line(camera: CameraFigures, width: int) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(camera.name.ljust(width + 2), "bold")
    line.append(camera.state.value, _STYLES.get(camera.state, "red"))
    if camera.reason:
        line.append(f" ({camera.reason})")
    if camera.retry_in is not None:
        line.append(f", next try in {camera.retry_in:.0f} s")
    if camera.captured:
        looks = f", {camera.fps_detected:.1f} detected" if camera.carried else ""
        shown = f", {camera.fps:.1f} shown" if camera.shown else ""
        found = f"  {words}" if (words := _found(camera)) else ""
        line.append(f"  {camera.fps_in:.1f} fps in{shown}{looks}{found}")
    if camera.age is not None:
        line.append(f"  {_age(camera.age)} old")
    dropped = ", ".join(f"{count} {reason}" for reason, count in camera.dropped.items() if count)
    if dropped:
        line.append(f"  dropped {dropped}", "dim")
    return line


def _found(camera: CameraFigures) -> str:
    if not camera.detected:
        return "detection off"
    if camera.people is None:
        return "" if camera.inferred and camera.state is not State.LIVE else "waiting for the detector"
    return f"{camera.people} {'person' if camera.people == 1 else 'people'}"


def _age(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"
