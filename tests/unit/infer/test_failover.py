"""A device that fails costs boxes for a moment, never pictures, and no picture of a file its boxes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.concurrency.queues import Funnel, Lane
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.cameras import Detect
from pipeline.errors import DeviceError
from pipeline.frames import Detections, Frame, Result
from pipeline.infer.detector import Detector
from pipeline.infer.failover import Failover
from pipeline.stats.registry import Stats
from tests.support.wait import HANG_S, until


class Request:
    def __init__(self, device: Device) -> None:
        self.device = device
        self.seq = -1
        self.cancelled = False

    def start_async(self) -> None:
        if self.device.refuses():
            raise RuntimeError("device lost")

    def wait_for(self, milliseconds: int) -> bool:
        if self.device.hangs():
            time.sleep(milliseconds / 1000)
            return False
        if self.device.broken() or self.seq in self.device.poison:
            raise RuntimeError("device lost\nwhile working")
        return True

    def cancel(self) -> None:
        self.cancelled = True


def never() -> bool:
    return False


class Device:
    """A stand-in for an accelerator: the one thing that cannot be made to fail for real."""

    name, requests = "stand-in", 2

    def __init__(self, device: str = "GPU") -> None:
        self.devices = (device,)
        self.broken: Callable[[], bool] = never
        self.refuses: Callable[[], bool] = never
        self.hangs: Callable[[], bool] = never
        self.poison: tuple[int, ...] = ()
        self.answered = 0

    def request(self) -> Request:
        return Request(self)

    def fill(self, request: Request, picture: Any) -> None:
        if picture.value == 99:
            raise ValueError("no such pixels")
        request.seq = picture.value

    def explain(self, error: Exception) -> str:
        return " ".join(str(error).split())

    def title(self) -> str:
        return f"stand-in on {self.devices[0]}"

    def report(self) -> str:
        return self.title()

    def parse(self, request: Request, width: int, height: int, threshold: float, keep: object) -> Detections:
        self.answered += 1
        return Detections.empty()


class Numbered(ArrayPicture):
    def __init__(self, value: int) -> None:
        super().__init__(np.zeros((48, 64, 3), np.uint8))
        self.value = value


class Rig:
    """A camera or file whose frames a test hands over one by one, and devices that fail when it says so."""

    def __init__(self, *devices: Device, live: bool = True, timeout: float = HANG_S) -> None:
        self.ready = list(devices[1:])
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.stats = Stats(["door"])
        self.intake: Funnel[Frame] = Funnel()
        self.results: list[Result] = []
        self.used: list[Detector | None] = []
        self.lane: Lane[Frame] = self.intake.lane(
            1, latest=live, dropped=lambda frame, reason: self.stats.cameras["door"].dropped(reason)
        )
        self.threads = ThreadGroup(lambda: self.intake.close(discard=True))
        self.seq = 0
        names = [devices[0].devices[0], "CPU"] if devices[0].devices[0] != "CPU" else ["CPU"]
        failover = Failover(
            self.load,
            names,
            self.intake,
            self.results.append,
            {"door": Detect()},
            self.stats,
            timeout,
            self.threads,
            self.used.append,
            lambda name: live,
        )
        self.threads.start("infer-collect", lambda: failover.run(devices[0]))  # type: ignore[arg-type]

    def load(self, device: str) -> Detector:
        self.asked.append(device)
        assert self.gate.wait(HANG_S)
        if not self.ready:
            raise DeviceError(f"device {device}: not found")
        return self.ready.pop(0)  # type: ignore[return-value]

    def put(self, value: int | None = None) -> None:
        self.stats.cameras["door"].captured()
        number = self.seq if value is None else value
        self.lane.put(Frame("door", self.seq, None, time.monotonic(), Numbered(number)))
        self.seq += 1

    def put_and_see(self, value: int | None = None) -> Result:
        """Hand over a frame and wait for what becomes of it."""
        before = len(self.results)
        self.put(value)
        until(lambda: len(self.results) > before)
        return self.results[before]

    def end(self) -> None:
        self.lane.close()
        assert not self.threads.join(HANG_S)
        assert self.stats.cameras["door"].figures().in_flight == 0


def test_the_next_device_takes_over_and_no_picture_is_lost_from_view() -> None:
    first, second = Device("GPU"), Device("CPU")
    rig = Rig(first, second)
    assert rig.put_and_see().detected
    rig.gate.clear()
    first.broken = lambda: True
    # The very picture that met the failure is seen, and those that come while the next device is made ready.
    assert [rig.put_and_see().detected for _ in range(3)] == [False, False, False]
    figures = rig.stats.cameras["door"].figures()
    assert (figures.passed, figures.people) == (3, None)
    assert rig.used == [None]
    rig.gate.set()
    until(lambda: rig.used[-1] is second)
    assert rig.put_and_see().detected
    assert rig.asked == ["CPU"]
    assert [result.frame.seq for result in rig.results] == list(range(5))
    rig.end()
    assert rig.threads.error is None


def test_a_device_that_hangs_gives_way_too() -> None:
    first, second = Device("GPU"), Device("CPU")
    rig = Rig(first, second, timeout=0.2)
    assert rig.put_and_see().detected
    first.hangs = lambda: True
    assert not rig.put_and_see().detected
    until(lambda: rig.used[-1:] == [second])
    assert rig.put_and_see().detected
    rig.end()


def test_a_device_that_takes_no_more_pictures_gives_way_too() -> None:
    first, second = Device("GPU"), Device("CPU")
    rig = Rig(first, second)
    assert rig.put_and_see().detected
    first.refuses = lambda: True
    assert not rig.put_and_see().detected
    until(lambda: rig.used[-1:] == [second])
    rig.end()


def test_every_picture_of_a_file_has_its_boxes_though_the_device_fails_between() -> None:
    first, second = Device("GPU"), Device("CPU")
    rig = Rig(first, second, live=False)
    first.broken = lambda: first.answered >= 3
    for _ in range(12):
        rig.put()
    rig.end()
    assert [(result.frame.seq, result.detected) for result in rig.results] == [(seq, True) for seq in range(12)]
    assert first.answered == 3


def test_one_picture_that_the_device_cannot_do_costs_only_that_picture(caplog: pytest.LogCaptureFixture) -> None:
    device = Device("CPU")
    device.poison = (2,)
    rig = Rig(device)
    assert [rig.put_and_see().detected for _ in range(5)] == [True, True, False, True, True]
    assert "door: picture 2 cannot be inferred: device lost while working" in caplog.text
    assert rig.used == []
    rig.end()


def test_one_picture_that_cannot_be_scaled_costs_only_that_picture(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(Device("CPU"))
    rig.put_and_see()
    rig.put(99)
    until(lambda: rig.stats.cameras["door"].figures().dropped.get("unreadable") == 1)
    assert "door: a picture cannot be converted: ValueError: no such pixels" in caplog.text
    assert rig.put_and_see().detected
    rig.end()


def test_a_failure_that_goes_away_at_once_costs_nothing() -> None:
    device = Device("CPU")
    rig = Rig(device)
    rig.put_and_see()
    failures = iter([True])
    device.broken = lambda: next(failures, False)
    assert rig.put_and_see().detected
    assert rig.used == []
    rig.end()


def test_the_chosen_device_is_taken_back_when_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.infer.failover.FIRST_RETURN_S", 0.05)
    first, second, third = Device("GPU"), Device("CPU"), Device("GPU")
    rig = Rig(first, second, third)
    rig.put_and_see()
    first.broken = lambda: True
    rig.put_and_see()
    until(lambda: rig.used[-1:] == [third])
    assert rig.asked == ["CPU", "GPU"]
    assert rig.put_and_see().detected
    assert third.answered == 1
    rig.end()


def test_a_machine_without_any_device_left_goes_on_showing_cameras_and_tries_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.concurrency.backoff.DELAYS_S", (0.01,))
    first, second = Device("CPU"), Device("CPU")
    rig = Rig(first)
    rig.put_and_see()
    first.broken = lambda: True
    rig.put_and_see()
    until(lambda: len(rig.asked) >= 3)
    assert not rig.put_and_see().detected
    rig.ready.append(second)
    until(lambda: rig.used[-1:] == [second])
    assert rig.put_and_see().detected
    rig.end()


@pytest.mark.parametrize("live", [True, False])
def test_a_device_that_has_never_answered_ends_the_run(live: bool) -> None:
    first = Device("CPU")
    first.broken = lambda: True
    rig = Rig(first, live=live)
    rig.put()
    assert not rig.threads.join(HANG_S)
    assert str(rig.threads.error) == "stand-in: inference failed: device lost while working"
    rig.lane.close()
    assert rig.stats.cameras["door"].figures().in_flight == 0


def test_a_file_ends_with_an_error_when_every_device_has_failed() -> None:
    first = Device("CPU")
    first.broken = lambda: first.answered >= 2
    rig = Rig(first, live=False)
    for _ in range(4):
        rig.put()
    assert not rig.threads.join(HANG_S)
    assert isinstance(rig.threads.error, DeviceError)
    rig.lane.close()
    assert rig.stats.cameras["door"].figures().in_flight == 0


def test_a_failure_is_told_though_no_further_picture_comes() -> None:
    first = Device("GPU")
    rig = Rig(first, Device("CPU"))
    rig.put_and_see()
    first.broken = lambda: True
    rig.put()
    until(lambda: rig.used[:1] == [None])
    rig.end()


def test_the_stop_waits_for_no_answer_and_counts_what_was_under_way() -> None:
    device = Device("CPU")
    rig = Rig(device)
    rig.put_and_see()
    device.hangs = lambda: True
    rig.put()
    until(lambda: rig.stats.cameras["door"].figures().in_flight == 1)
    rig.threads.stop()
    rig.end()
    assert rig.threads.error is None
    assert rig.stats.cameras["door"].figures().dropped == {"stopped": 1}


def test_the_run_can_end_while_a_device_is_being_made_ready() -> None:
    first = Device("GPU")
    rig = Rig(first, Device("CPU"))
    rig.put_and_see()
    rig.gate.clear()
    first.broken = lambda: True
    rig.put_and_see()
    rig.threads.stop()
    until(lambda: "infer-collect" not in rig.threads.working())
    rig.gate.set()
    rig.end()
