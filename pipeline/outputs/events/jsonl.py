"""A JSON line for every frame and for every change of a camera's state."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pipeline.errors import unwritable
from pipeline.outputs.paths import filled, make_room
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.redaction import scrub

from .schema import frame_event, timestamp
from .settings import STDOUT, Events


class EventsOutput(Output):
    """Appends whole lines, each in one write, so that a kill loses none that was written.

    Frames:  camera, seq, pts, captured, size, timings_ms, detections [{label, score, box}]
    Changes: camera, state, reason, at; last_good and next_try where there was a picture and a try is planned
    """

    name = "events"

    def __init__(self, settings: Events, context: OutputContext) -> None:
        self._settings = settings
        self._stats = context.stats
        self._clock = context.clock
        self._files: dict[Path, int] = {}
        self._written_changes = dict.fromkeys(context.stats.cameras, -1)

    def open(self) -> None:
        """Make the folders and files."""
        if self._settings.path == STDOUT:
            return
        for camera in self._stats.cameras:
            path = filled(self._settings.path, camera)
            if path not in self._files:
                self._files[path] = _append_to(path)

    def show(self, view: View) -> bool:
        """Write the line of a frame, after those of the changes before it."""
        self.poll()
        result = view.result
        if not result.detected:
            return False
        if not len(result.detections) and not self._settings.empty:
            return False
        total = self._clock.monotonic() - result.frame.captured
        self._write(result.frame.camera, frame_event(result, view.captured_at, total))
        return True

    def needs_frames(self, camera: str) -> bool:
        """Only what was found is written, so that a camera without detection need not be decoded for it."""
        return False

    def poll(self) -> bool:
        """Write the changes of state since the last call."""
        for name, camera in self._stats.cameras.items():
            for change in camera.changes(self._written_changes[name]):
                event = {"camera": name, "state": change.state.value, "reason": scrub(change.reason)}
                times = {"at": change.at, "last_good": change.last_good, "next_try": change.next_try}
                self._write(name, event | {key: timestamp(moment) for key, moment in times.items() if moment})
                self._written_changes[name] = change.number
        return True

    def close(self) -> None:
        """Write what is left and close the files."""
        try:
            if self._files or self._settings.path == STDOUT:
                self.poll()
        finally:
            while self._files:
                os.close(self._files.popitem()[1])

    def _write(self, camera: str, event: dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":")) + "\n"
        if self._settings.path == STDOUT:
            try:
                sys.stdout.write(line)
                sys.stdout.flush()
            except OSError as error:
                raise unwritable("standard output", error) from error
            return
        path = filled(self._settings.path, camera)
        left = line.encode()
        try:
            while left:
                left = left[os.write(self._files[path], left) :]
        except OSError as error:
            raise unwritable(path, error) from error


def _append_to(path: Path) -> int:
    """Return a descriptor that appends; a line that an earlier kill left unfinished is ended first."""
    make_room(path)
    try:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o644)
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")
    except OSError as error:
        raise unwritable(path, error) from error
    return file
