"""The pipeline as a Python iterator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.outputs import output_class
from pipeline.config.root import Config
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.protocols import Output, View
from pipeline.outputs.snapshot import save
from pipeline.redaction import scrub
from pipeline.runtime.runtime import Runtime
from pipeline.stats.camera import CameraFigures

from .errors import OutputError
from .frames import Frame, Result

_CHECK_S = 0.1
"""How often a wait looks whether somebody wants the end."""

T = TypeVar("T")


class _Reader(Output):
    """The output that is the caller's own loop."""

    name = "python"
    asks_for_clips = True

    def __init__(self) -> None:
        self.newest: dict[str, Result] = {}
        """Of each camera, also while the loop is busy."""

    def on_result(self, result: Result) -> None:
        self.newest[result.frame.camera] = result

    def on_drop(self, frame: Frame) -> None: ...

    def show(self, view: View) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class CameraChange:
    """A new state of a camera, as `Results.events` tells it."""

    camera: str
    state: str
    """Such as live or offline: docs/architecture.md lists them."""
    reason: str
    """Why, in a word or two, such as unauthorized; empty where there is nothing to say."""
    at: datetime
    """Wall time in UTC, as the next two."""
    last_good: datetime | None
    """When the last good picture came; None before the first."""
    next_try: datetime | None
    """When it will be opened again; None where no try is planned."""


class Results:
    """Results of all cameras in the order they are ready: an iterator, an asynchronous one, and a context manager.

    A live camera gives its newest result when asked, a file every one. Those of a camera that is not to be detected
    have `detected` False and no detections; they are decoded for the iteration. The cameras start with the block, or
    with the first result that is asked for. The end of the block, or of the iteration where there is no block, ends
    all threads and raises the first error of any stage; without any, OutputError where an output could not write
    everything. One thread at a time may ask for results; `stop` may be
    called by any.
    """

    def __init__(self, config: Config) -> None:
        windows = [output.kind for output in config.outputs or () if output_class(output.kind).main_thread]
        if windows:
            raise OutputError(f"a {windows[0]} needs the main thread: use pipeline.run, or show the results yourself")
        self._runtime = Runtime(config)
        self._reader = _Reader()
        self._worker = OutputWorker(self._reader, self._runtime.stats)
        self._outputs = config.outputs or ()
        self._told = dict.fromkeys(config.cameras, -1)
        self._stop_wanted = self._is_started = self._is_closed = self._in_block = False

    def __enter__(self) -> Results:
        self._in_block = True
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
        except BaseException:
            if error is None:
                raise

    def __iter__(self) -> Iterator[Result]:
        try:
            while (result := self.next()) is not None:
                yield result
        finally:
            self._leave()

    async def __aenter__(self) -> Results:
        self._in_block = True
        await _elsewhere(self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await _elsewhere(lambda: self.__exit__(kind, error, trace))

    async def __aiter__(self) -> AsyncIterator[Result]:
        try:
            while (result := await _elsewhere(self.next)) is not None:
                yield result
        finally:
            self.stop()
            await _elsewhere(self._leave)

    def next(self, timeout: float | None = None) -> Result | None:
        """Return the next result; None after `timeout` seconds without one, or when there will be none: see `over`.

        Raises the first error of any stage.
        """
        self._start()
        clock = self._runtime.stats.clock
        ends = float("inf") if timeout is None else clock.monotonic() + timeout
        while True:
            left = ends - clock.monotonic()
            view = None if self._stop_wanted else self._worker.views.get(max(0.0, min(left, _CHECK_S)))
            if view is not None:
                self._worker.show(view)
                return view.result
            if self.over or left <= 0:
                break
        if self.over and self._runtime.error is not None:
            raise self._runtime.error
        return None

    def events(self, timeout: float | None = None) -> Iterator[Result | CameraChange]:
        """Iterate over results and, as they happen, changes of the cameras' states: also while no picture comes.

        It ends as the iteration over results does, and after `timeout` seconds in which nothing happened.
        """
        try:
            yield from self._changes()
            clock = self._runtime.stats.clock
            last = clock.monotonic()
            while not self.over and (timeout is None or clock.monotonic() - last < timeout):
                result = self.next(_CHECK_S)
                for change in self._changes():
                    yield change
                    last = clock.monotonic()
                if result is not None:
                    yield result
                    last = clock.monotonic()
            self.next(0)
            yield from self._changes()
        finally:
            self._leave()

    @property
    def over(self) -> bool:
        """Whether there will be no more results: the sources have ended, somebody wants the end, or a stage failed."""
        return self._stop_wanted or self._is_closed or self._worker.views.ended

    def stop(self) -> None:
        """Ask for the end of the iteration; takes no lock, so that any thread and a signal handler may call it."""
        self._stop_wanted = True

    def close(self) -> None:
        """End all threads and raise the first error of any stage; harmless when called twice or before the start."""
        if self._is_closed:
            return
        self._is_closed = True
        self._worker.views.close(discard=True)
        if self._is_started:
            self._runtime.finish()

    def _start(self) -> None:
        if self._is_started or self._is_closed:
            return
        self._is_started = True
        try:
            self._runtime.start(self._outputs, self._worker)
        except BaseException as error:
            self._is_closed = True
            self._runtime.abort(error)

    def _leave(self) -> None:
        """Close what no block will close."""
        if not self._in_block:
            self.close()

    def _changes(self) -> Iterator[CameraChange]:
        """Yield the changes of state since the last call."""
        for name, camera in self._runtime.stats.cameras.items():
            for change in camera.changes(self._told[name]):
                self._told[name] = change.number
                yield CameraChange(
                    name, change.state.value, scrub(change.reason), change.at, change.last_good, change.next_try
                )

    @property
    def cameras(self) -> list[CameraFigures]:
        """How every camera is doing at this moment."""
        return self._runtime.stats.figures()

    def clip(self, camera: str, before: float, after: float, path: str | Path | None = None) -> Path:
        """Write a file with the last `before` seconds of a camera and the next `after`, for which it waits.

        It starts at the keyframe before that time. Where an output records the camera, it has the boxes beside it
        and stands beside the recordings unless `path` says otherwise; else it is made of what `capture.keep` keeps
        in memory and needs a `path`, .mp4 or .mkv. Raises OutputError.
        """
        self._check(camera)
        return self._runtime.clips.cut(camera, before, after, path)

    def snapshot(self, camera: str, path: str | Path) -> Path:
        """Write the newest picture of a camera with its boxes as a .jpg or .png file.

        It is dimmed and says why where it is not what the camera sees now. Raises OutputError.
        """
        self._check(camera)
        result = self._reader.newest.get(camera)
        if result is None:
            raise OutputError(f"{camera}: no snapshot: no picture came yet")
        stats = self._runtime.stats
        return save(self._runtime.view(result), stats.cameras[camera], stats.clock, path, self._runtime.claims)

    def summary(self) -> dict[str, Any]:
        """Everything that was counted so far, with the keys of the summary file."""
        return self._runtime.summary()

    def _check(self, camera: str) -> None:
        cameras = self._runtime.config.cameras
        if camera not in cameras:
            raise OutputError(f"no camera is called {camera}; there is {', '.join(cameras)}")


async def _elsewhere(body: Callable[[], T]) -> T:
    """Return what `body` does, done in a thread of its own so that the event loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(settle: Callable[[Any], None], outcome: Any) -> None:
        if not future.done():
            settle(outcome)

    def run() -> None:
        try:
            outcome = body()
        except Exception as error:
            loop.call_soon_threadsafe(tell, future.set_exception, error)
        else:
            loop.call_soon_threadsafe(tell, future.set_result, outcome)

    ThreadGroup(lambda: None).start("python-async", run)
    return await future
