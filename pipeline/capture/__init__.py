"""The way from the world to frames: the address chooses the source."""

from __future__ import annotations

import threading

from pipeline.address.faults import parse
from pipeline.capture.sources import source_class
from pipeline.capture.sources.fault_injection import FaultInjector
from pipeline.clock import Clock
from pipeline.config.cameras import Capture

from .source import Source


def open_source(
    address: str, settings: Capture, stopping: threading.Event | None = None, clock: Clock | None = None
) -> Source:
    """Make the source that an address names, not yet opened; once `stopping` is set, a wait inside it ends soon.

    What is drawn or rehearsed goes by the clock; cameras have their own time. Raises SourceError where the plug-in
    that reads the address is broken.
    """
    faults, real = parse(address)
    source = source_class(real).from_address(real, settings, stopping, clock)
    return FaultInjector(address, faults, source, settings, stopping, clock) if faults else source


def check_source(address: str) -> None:
    """See at no cost whether an address can be of any use, before anything slow is begun; raises SourceError."""
    _, real = parse(address)
    source_class(real).check(real)
