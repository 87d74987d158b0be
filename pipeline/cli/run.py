"""One run in a terminal: status while it lasts, numbers when it has ended."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from pipeline.concurrency.signals import Interrupt
from pipeline.config.file_claims import FileClaims
from pipeline.config.root import Config
from pipeline.errors import OutputError, PipelineError, SourceError
from pipeline.stats.registry import Stats

from .log_format import LogFormat, logging_to
from .status_line import Status, Terminal
from .summary import SummaryFile, show

log = logging.getLogger(__name__)


def watch(
    config: Config,
    frames: int,
    duration: float,
    summary: str | None,
    recordings: Mapping[str, Path] | None = None,
    log_format: LogFormat = LogFormat.TEXT,
) -> int:
    """Run a configuration with status and summary in the terminal; the exit code. Raises PipelineError.

    `recordings`, by the names of their cameras, are played with the boxes beside them instead of being detected.
    In JSON, status and summary are records too.
    """
    _require_opencv()
    from pipeline.runtime.replay import Replay
    from pipeline.runtime.runtime import Runtime

    if summary:
        FileClaims(config).check_free(Path(summary))
    file = SummaryFile(summary) if summary else None
    printing = any(output.settings.prints for output in config.outputs or ())
    json = log_format is LogFormat.JSON
    with Status(Terminal(stderr=True), as_records=json) as status, logging_to(status.notice, log_format):

        def tick(stats: Stats) -> None:
            # Until the model is there, the progress bar of its download has the terminal.
            if runtime.started:
                status.tick(stats.figures(), stats.told())

        runtime = Runtime(
            config,
            frames=frames,
            duration=duration,
            # For a person who reads along, and for no log.
            invite=status.notice if sys.stderr.isatty() and not json else None,
            on_tick=tick,
            replay=Replay(recordings) if recordings else None,
        )
        with Interrupt(runtime.stop) as interrupt:
            try:
                runtime.run()
            except OutputError as error:
                # Whoever stopped a run that went on after a loss gets the code of the stop.
                if runtime.error is not None or not interrupt.number:
                    raise
                for line in str(error).splitlines():
                    log.error("%s", line)
            finally:
                status.close()
                numbers = runtime.summary()
                captured = sum(each["captured"] for each in numbers["cameras"].values())
                if json:
                    log.info("the run has ended", extra={"summary": numbers})
                elif captured:
                    show(numbers, Terminal(stderr=printing))
                if file is not None:
                    file.write(numbers)
    if interrupt.number:
        return 130 if interrupt.number == signal.SIGINT else 0
    if not captured:
        states = ", ".join(f"{each.name}: {each.reason or each.state}" for each in runtime.stats.figures())
        raise SourceError(f"no camera gave a picture: {states}")
    return 0


def _require_opencv() -> None:
    try:
        # Only a probe: without these libraries the import of any stage would end in a traceback.
        import_module("cv2")
    except ImportError as error:
        raise PipelineError(
            f"OpenCV cannot be loaded ({error}); on Debian and Ubuntu: apt-get install libgl1 libglib2.0-0"
        ) from error
