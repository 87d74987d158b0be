"""The pipeline as a Python iterator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.config.outputs import output_class
from pipeline.config.root import Config
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.protocols import Output, View
from pipeline.outputs.snapshot import save
from pipeline.runtime.runtime import Runtime
from pipeline.stats.camera import CameraFigures

from .errors import OutputError
from .frames import Frame, Result


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


class Results:
    """Results of all cameras in the order they are ready; a context manager and an iterator.

    A live camera gives its newest result when asked, a file every one. Those of a camera that is not to be detected
    have `detected` False and no detections; they are decoded for the iteration. Leaving the block ends all threads
    and raises the first error of any stage, as the iteration itself does.
    """

    def __init__(self, config: Config) -> None:
        windows = [output.kind for output in config.outputs or () if output_class(output.kind).main_thread]
        if windows:
            raise OutputError(f"a {windows[0]} needs the main thread: use pipeline.run, or show the results yourself")
        self._runtime = Runtime(config)
        self._reader = _Reader()
        self._worker = OutputWorker(self._reader, self._runtime.stats)
        self._outputs = config.outputs or ()

    def __enter__(self) -> Results:
        try:
            self._runtime.start(self._outputs, self._worker)
        except BaseException as error:
            self._runtime.abort(error)
        return self

    def __iter__(self) -> Iterator[Result]:
        for view in self._worker.views:
            self._worker.show(view)
            yield view.result
        if self._runtime.error is not None:
            raise self._runtime.error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.views.close(discard=True)
        try:
            self._runtime.finish()
        except BaseException:
            if error is None:
                raise

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
        return save(self._runtime.view(result), stats.cameras[camera], stats.clock, path)

    def summary(self) -> dict[str, Any]:
        """Everything that was counted so far, with the keys of the summary file."""
        return self._runtime.summary()

    def _check(self, camera: str) -> None:
        cameras = self._runtime.config.cameras
        if camera not in cameras:
            raise OutputError(f"no camera is called {camera}; there is {', '.join(cameras)}")
