"""The real program with one part of it broken on purpose, where the world offers no way to break it.

python -m tests.faults.broken KIND ARGUMENTS
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pipeline.capture import worker
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.cli import main
from pipeline.cli.status_line import Status
from pipeline.concurrency import backoff
from pipeline.infer.backends.openvino.detector import OpenvinoDetector
from pipeline.infer.decoders import ssd
from pipeline.infer.engine import Engine
from pipeline.outputs.dispatch import OutputWorker

AFTER = 5
"""How many times the part still works."""
SLOWER = 8
"""How many pictures the slow output is slower than another."""
LEAK = 200_000
"""Bytes that the planted leak loses with each connection."""


class Request:
    """An inference request whose device fails in one of several ways."""

    def __init__(self, real: Any, fault: str, started: Iterator[int]) -> None:
        self._real, self._fault, self._started = real, fault, started
        self._count = 0

    def start_async(self) -> None:
        self._count = next(self._started)
        if self._fault == "refuses" and self._count > AFTER:
            raise RuntimeError("Exception from src/plugin.cpp:99: the device was reset")
        self._real.start_async()

    def wait_for(self, milliseconds: int) -> bool:
        if self._fault == "hangs" and self._count > AFTER:
            time.sleep(milliseconds / 1000)
            return False
        if self._fault == "fails" and self._count > AFTER:
            raise RuntimeError("Exception from src/plugin.cpp:99: out of memory on the device")
        return bool(self._real.wait_for(milliseconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def device(fault: str) -> None:
    """From the sixth picture on the device does what `fault` says, until it is made ready anew."""
    real = OpenvinoDetector.request
    first: list[OpenvinoDetector] = []
    started = itertools.count(1)

    def request(self: OpenvinoDetector) -> Any:
        if not first:
            first.append(self)
        return Request(real(self), fault, started) if first[0] is self else real(self)

    OpenvinoDetector.request = request  # type: ignore[method-assign]


def nonsense() -> None:
    """The model gives boxes that are no numbers, endless, upside down or far outside."""
    real: Any = ssd.parse_rows
    strange = [
        [0, 0, 0.9, np.nan, 0.1, 0.2, 0.3],
        [0, 0, np.nan, 0.1, 0.1, 0.2, 0.3],
        [0, 0, 0.9, -np.inf, 0.1, np.inf, 0.3],
        [0, 0, 0.9, 0.8, 0.8, 0.1, 0.1],
        [0, 0, 0.9, -50, -50, 50, 50],
        [0, np.nan, 0.9, 0.1, 0.1, 0.2, 0.3],
        [0, 1e9, 0.9, 0.1, 0.1, 0.2, 0.3],
    ]

    def parsed(rows: Any, *rest: Any) -> Any:
        return real(np.concatenate([np.asarray(strange, rows.dtype), rows]), *rest)

    setattr(ssd, "parse_rows", parsed)  # noqa: B010


def dies(owner: Any, name: str) -> None:
    """A method raises what nobody expects when it is called for the sixth time."""
    real: Callable[..., Any] = getattr(owner, name)
    count = itertools.count()

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        if next(count) == AFTER:
            raise ZeroDivisionError(f"planted in {threading.current_thread().name}")
        return real(self, *arguments, **named)

    setattr(owner, name, method)


def slow(output: str) -> None:
    """While one output takes a picture the others take SLOWER of them."""
    real = OutputWorker.show
    others = 0

    def show(self: OutputWorker, view: Any) -> None:
        nonlocal others
        if self.output.name == output:
            enough = others + SLOWER
            while others < enough and not self.views._closed:
                time.sleep(0.01)
        else:
            others += 1
        real(self, view)

    OutputWorker.show = show  # type: ignore[method-assign]


def eager(leak: bool) -> None:
    """A lost camera is tried again at once, so that it can be lost hundreds of times; `leak` loses memory each time."""
    setattr(backoff, "DELAYS_S", (0.02,))  # noqa: B010
    if leak:
        real = FfmpegSource.open
        lost: list[bytearray] = []

        def opened(self: FfmpegSource) -> None:
            lost.append(bytearray(b"x" * LEAK))
            real(self)

        FfmpegSource.open = opened  # type: ignore[method-assign]


KINDS: dict[str, Callable[[], None]] = {
    "hangs": lambda: device("hangs"),
    "fails": lambda: device("fails"),
    "refuses": lambda: device("refuses"),
    "nonsense": nonsense,
    "capture": lambda: dies(worker.CaptureWorker, "_pass_on"),
    "feed": lambda: dies(Engine, "_start"),
    "collect": lambda: dies(Engine, "_finish"),
    "render": lambda: dies(OutputWorker, "show"),
    "status": lambda: dies(Status, "tick"),
    "slow": lambda: slow("video"),
    "eager": lambda: eager(False),
    "leak": lambda: eager(True),
}

if __name__ == "__main__":
    KINDS[sys.argv.pop(1)]()
    sys.exit(main())
