"""A JSON line for every frame and for every change of a camera's state."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError, OutputGoneError, unwritable
from pipeline.files.disk import Disk
from pipeline.files.writing import STALL_S, WrittenFile, feed, never, silence
from pipeline.outputs.paths import filled
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.outputs.retry import Retry
from pipeline.redaction import scrub

from .schema import frame_event, timestamp
from .settings import STDOUT, Events

_LAST_WAIT_S = 0.5
"""Seconds that the reader of a pipe may take nothing once the run is to end."""


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
        self._stopping = context.stopping
        self._waits_long = set(context.file_cameras) == set(context.cameras)
        self._written_changes = dict.fromkeys(context.stats.cameras, -1)
        self._logs: dict[str, _Log] = {}
        """The file of each camera, which several may share."""
        by_path: dict[Path, _Log] = {}
        for camera in context.stats.cameras:
            path = filled(settings.path, camera)
            if path not in by_path:
                words = "standard output" if settings.prints else str(path)
                retry = Retry(self.name, words, self._stats.outputs[self.name], self._clock)
                by_path[path] = _Printed(retry) if settings.prints else _Log(path, retry)
            self._logs[camera] = by_path[path]

    def open(self) -> None:
        """Make the folders and files."""
        for log in set(self._logs.values()):
            log.open()

    def show(self, view: View) -> bool:
        """Write the line of a frame, after those of the changes before it."""
        self.poll()
        result = view.result
        if not result.detected:
            return False
        if not len(result.detections) and not self._settings.empty:
            return False
        total = self._clock.monotonic() - result.frame.captured
        # What is read from a file waits for the reader of a pipe; a camera does not.
        waits = never if view.live else self._waits
        return self._logs[result.frame.camera].append(frame_event(result, view.captured_at, total), waits)

    def needs_frames(self, camera: str) -> bool:
        """Only what was found is written, so that a camera without detection need not be decoded for it."""
        return False

    def poll(self) -> bool:
        """Write the changes of state since the last call."""
        for name, camera in self._stats.cameras.items():
            log = self._logs[name]
            # They can wait for the end of an error.
            for change in camera.changes(self._written_changes[name]) if log.retry.due else ():
                event = {"camera": name, "state": change.state.value, "reason": scrub(change.reason)}
                times = {"at": change.at, "last_good": change.last_good, "next_try": change.next_try}
                line = event | {key: timestamp(moment) for key, moment in times.items() if moment}
                if not log.append(line, counts=False):
                    break
                self._written_changes[name] = change.number
        return True

    def _waits(self, waited: float) -> bool:
        """Wait for the reader of a pipe for some seconds; where there are files alone, until the run is to end."""
        return waited < (_LAST_WAIT_S if self._stopping.is_set() else float("inf") if self._waits_long else STALL_S)

    def close(self) -> None:
        """Write what is left and close the files."""
        if any(log.is_open for log in self._logs.values()):
            self.poll()
            for name, camera in self._stats.cameras.items():
                for _ in camera.changes(self._written_changes[name]):
                    self._logs[name].retry.lost()
        for log in self._logs.values():
            log.close()


class _Log:
    """One file of lines, which goes on after any error, and in a new file where somebody moves or deletes it."""

    def __init__(self, path: Path, retry: Retry) -> None:
        self.retry = retry
        self.is_open = False
        self._path = path
        self._disk: Disk | None = None
        self._file: WrittenFile | None = None
        self._is_pipe = False

    def open(self) -> None:
        """Make the file; a pipe that nobody reads yet is told and no error. Raises OutputError."""
        self.is_open = True
        self._disk = None
        try:
            self._reopen()
        except OutputError as error:
            if not isinstance(error.__cause__, BlockingIOError):
                raise
            self._is_pipe = True
            self.retry.failed(error)
        self._disk = Disk(self._path)

    def append(self, event: dict[str, Any], waits: Callable[[float], bool] = never, *, counts: bool = True) -> bool:
        """Write a line; return whether it is written: where it is not, it `counts` as lost.

        `waits` is asked as that of a `WrittenFile`.
        """
        line = json.dumps(event, separators=(",", ":")) + "\n"
        # A reader that has taken nothing is not waited for again until it does.
        write = partial(self._write, line.encode(), never if self.retry.failing else waits)
        return bool(self.retry.attempt(write, counts=counts))

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        self.is_open = False
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _write(self, line: bytes, waits: Callable[[float], bool]) -> bool:
        if self._file is not None and self._file.moved:
            self._file.close()
            self._file = None
        file = self._file or self._reopen()
        file.waits = waits
        try:
            file.write(line)
        except BlockingIOError as error:
            # Kept open: the reader may have a part of a line, of which the rest has to follow.
            raise unwritable(self._path, error) from error
        except OSError as error:
            self._file = None
            file.close()
            raise unwritable(self._path, error) from error
        return True

    def _reopen(self) -> WrittenFile:
        if self._disk is not None:
            self._disk.check()
        if self._is_pipe and not self._path.exists():
            raise OutputError(f"cannot write {self._path}: the pipe is gone; make it again")
        file = self._file = WrittenFile(self._path, append=True)
        self._is_pipe = not file.regular
        return file


class _Printed(_Log):
    """Standard output, which a reader that leaves never takes again."""

    def __init__(self, retry: Retry) -> None:
        super().__init__(Path(STDOUT), retry)
        self._left = b""
        """The rest of a line of which the reader has a part."""

    def open(self) -> None:
        """Nothing: it is there."""
        self.is_open = True

    def _write(self, line: bytes, waits: Callable[[float], bool]) -> bool:
        try:
            try:
                descriptor = sys.stdout.fileno()
            except OSError:
                # Python's own, such as a program has that embeds this one.
                sys.stdout.write(line.decode())
                sys.stdout.flush()
                return True
            sys.stdout.flush()
            self._left = feed(descriptor, self._left, waits)
            if not self._left:
                self._left = feed(descriptor, line, waits)
            if self._left == line:
                self._left = b""
                raise silence()
        except (BrokenPipeError, AttributeError, ValueError) as error:
            reason = unwritable("standard output", error) if isinstance(error, OSError) else "it is closed"
            raise OutputGoneError(str(reason)) from error
        except OSError as error:
            raise unwritable("standard output", error) from error
        return True
