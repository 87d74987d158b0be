"""The pipeline as a Python iterator."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from .config import Config
from .errors import OutputError
from .frames import Result
from .render.outlet import Outlet
from .render.output import View
from .runtime import Runtime
from .stats import CameraFigures


class _Reader:
    """The output that is the caller's own loop."""

    name = "python"

    def open(self) -> None: ...

    def show(self, view: View) -> bool:
        return True

    def poll(self) -> bool:
        return True

    def close(self) -> None: ...


class Results:
    """Results of all cameras in the order they are ready; a context manager and an iterator.

    A live camera gives its newest result when asked, a file every one. Those of a camera that is not to be detected
    have `detected` False and no detections; they are decoded for the iteration. Leaving the block ends all threads
    and raises the first error of any stage, as the iteration itself does.
    """

    def __init__(self, config: Config, notice: Callable[[str], None] = lambda line: None) -> None:
        if any(output.window for output in config.outputs or ()):
            raise OutputError("a window needs the main thread: use pipeline.run, or show the results yourself")
        self._runtime = Runtime(config, notice=notice)
        self._outlet = Outlet(_Reader(), self._runtime.stats)
        self._outputs = config.outputs or ()

    def __enter__(self) -> Results:
        try:
            self._runtime.start(self._outputs, self._outlet)
        except BaseException as error:
            self._runtime.abort(error)
        return self

    def __iter__(self) -> Iterator[Result]:
        for view in self._outlet.views:
            self._outlet.show(view)
            yield view.result
        if self._runtime.error is not None:
            raise self._runtime.error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._outlet.views.close(discard=True)
        try:
            self._runtime.finish()
        except BaseException:
            if error is None:
                raise

    @property
    def cameras(self) -> list[CameraFigures]:
        """How every camera is doing at this moment."""
        return self._runtime.stats.figures()

    def clip(self, camera: str, before: float, after: float) -> Path:
        """A file with the last `before` seconds of a recorded camera and the next `after`, for which it waits.

        It stands beside the recordings, starts at the keyframe before that time, and has its boxes beside it.
        Raises OutputError where no output records the camera.
        """
        return self._runtime.clip(camera, before, after)

    def summary(self) -> dict[str, Any]:
        """Everything that was counted so far, with the keys of the summary file."""
        return self._runtime.summary()
