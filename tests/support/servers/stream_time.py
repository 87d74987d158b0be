"""Time that goes by the packets of a stream, for measurements that must not depend on the load of the machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.doctor import probe
from pipeline.doctor.packet_probe import PacketProbe
from tests.support.wait import HANG_S


class StreamTime:
    """The system's time until the first packet is heard, and from then on the time at which each packet is due.

    So a measurement sees a network that keeps its time, or delays pictures as told, on a machine of any load.
    """

    def __init__(self, due: Callable[[float], float] = lambda at: at) -> None:
        self._due = due
        self._first: tuple[float, float] | None = None
        self._now: float | None = None

    def monotonic(self) -> float:
        return time.monotonic() if self._now is None else self._now

    def paused(self) -> float:
        return 0.0

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.wait(seconds)

    def hear(self, stamp: float) -> None:
        """A packet with this time of the stream came; `due` says when it was to, in seconds after the first."""
        if self._first is None:
            self._first = (stamp, time.monotonic())
        begun, at = self._first
        self._now = max(at if self._now is None else self._now, at + self._due(stamp - begun))


@contextmanager
def heard() -> Iterator[None]:
    """Let the time of streams hear every packet that a probe reads, and let no answer take too long for a probe."""
    decode = PacketProbe._decode

    def listening(source: PacketProbe, packet: Any) -> None:
        stamp = packet.pts if packet.dts is None else packet.dts
        if isinstance(source._clock, StreamTime) and stamp is not None:
            source._clock.hear(float(stamp * packet.time_base))
        decode(source, packet)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PacketProbe, "_decode", listening)
        patch.setattr(probe, "_DESCRIBE_S", HANG_S)
        patch.setattr(probe, "_TRIAL_S", HANG_S)
        yield
