"""From the world to frames: the address chooses the source."""

from __future__ import annotations

import threading

from pipeline.address import parse as addresses
from pipeline.address.faults import parse
from pipeline.capture.sources.fault_injection import FaultInjector
from pipeline.capture.sources.ffmpeg import FfmpegSource, check_file
from pipeline.capture.sources.synthetic.source import DemoSource
from pipeline.capture.sources.webcam import WebcamSource
from pipeline.clock import Clock
from pipeline.config.root import Capture

from .source import Source


def open_source(
    address: str, settings: Capture, stopping: threading.Event | None = None, clock: Clock | None = None
) -> Source:
    """The source that an address names, not yet opened; once `stopping` is set, a wait inside it ends soon.

    What is drawn or rehearsed goes by the clock; cameras have their own time.
    """
    faults, real = parse(address)
    if faults:
        return FaultInjector(address, faults, open_source(real, settings, stopping, clock), settings, stopping, clock)
    kind = addresses.kind(address)
    if kind == "demo":
        return DemoSource(live=settings.pace != "fast", clock=clock)
    if kind == "webcam":
        return WebcamSource(address, settings, stopping)
    return FfmpegSource(address, settings, stopping)


def check_source(address: str) -> None:
    """See at no cost whether an address can be of any use, before anything slow is begun; raises SourceError."""
    _, real = parse(address)
    if addresses.kind(real) == "file":
        check_file(real)
