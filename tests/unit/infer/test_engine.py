"""The pool keeps each camera's order, serves all cameras, and counts every frame when a device fails."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from pipeline.concurrency.queues import Funnel
from pipeline.config.cameras import Detect
from pipeline.errors import DeviceError
from pipeline.frames import AS_CODED, Detections, Frame, Image, Result
from pipeline.infer.engine import Engine
from pipeline.stats.registry import Stats
from tests.support.wait import HANG_S


class Plain:
    """A picture that carries its number in every pixel."""

    width, height, presentation = 64, 48, AS_CODED

    def __init__(self, value: int) -> None:
        self.value = value % 256

    def bgr(self) -> Image:
        return np.full((48, 64, 3), self.value, np.uint8)

    def resized(self, width: int, height: int) -> Image:
        return np.full((height, width, 3), self.value, np.uint8)

    def glance(self) -> bytes:
        return b""


class Unreadable(Plain):
    """A picture that cannot be converted."""

    def resized(self, width: int, height: int) -> Image:
        raise OSError(95, "Operation not supported")


class Request:
    """A device's request that answers after `delay` seconds, never, or with an error."""

    def __init__(self, device: Device) -> None:
        self.device, self.pixels = device, np.zeros((8, 8, 3), np.uint8)
        self.ready = 0.0
        self.cancelled = False

    def start_async(self) -> None:
        self.device.started += 1
        self.ready = time.monotonic() + self.device.delay()

    def wait_for(self, milliseconds: int) -> bool:
        if self.device.fails_at and self.device.started >= self.device.fails_at:
            raise RuntimeError("device lost\nwhile working")
        time.sleep(min(max(0.0, self.ready - time.monotonic()), milliseconds / 1000))
        return time.monotonic() >= self.ready

    def cancel(self) -> None:
        self.ready, self.cancelled = 0.0, True


class Device:
    """A stand-in for an accelerator: the one thing that cannot be made to fail for real."""

    name, width, height, requests = "stand-in", 8, 8, 3

    def __init__(self, delay: Any = lambda: 0.001, fails_at: int = 0) -> None:
        self.delay, self.fails_at, self.started = delay, fails_at, 0
        self.seen: list[int] = []
        self.made: list[Request] = []

    def request(self) -> Request:
        self.made.append(Request(self))
        return self.made[-1]

    def fill(self, request: Request, picture: Plain) -> None:
        request.pixels[:] = picture.resized(self.width, self.height)

    def explain(self, error: Exception) -> str:
        return " ".join(str(error).split())

    def parse(self, request: Request, width: int, height: int, threshold: float, keep: object) -> Detections:
        self.seen.append(int(request.pixels[0, 0, 0]))
        return Detections.empty()


def run(
    device: Device, cameras: dict[str, int], timeout: float = HANG_S
) -> tuple[list[Result], Stats, list[BaseException]]:
    """Feed that many frames of each camera through the engine, losslessly."""
    stats = Stats(list(cameras))
    intake: Funnel[Frame] = Funnel()
    results: list[Result] = []
    errors: list[BaseException] = []
    engine = Engine(device, intake, results.append, dict.fromkeys(cameras, Detect()), stats, timeout)  # type: ignore[arg-type]

    def guarded(body: Any) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)
            intake.close(discard=True)

    def write(name: str, count: int) -> None:
        lane = intake.lane(2, dropped=lambda frame, reason: stats.cameras[frame.camera].dropped(reason))
        lanes.wait()
        for seq in range(count):
            stats.cameras[name].captured()
            kind = Unreadable if name == "unreadable" else Plain
            if not lane.put(Frame(name, seq, None, time.monotonic(), kind(seq))):
                break
        lane.close()

    lanes = threading.Barrier(len(cameras) + 1)
    threads = [threading.Thread(target=write, args=each, daemon=True) for each in cameras.items()]
    for thread in threads:
        thread.start()
    lanes.wait()
    stages = [threading.Thread(target=guarded, args=(body,), daemon=True) for body in (engine.feed, engine.collect)]
    for thread in stages:
        thread.start()
    for thread in [*threads, *stages]:
        thread.join(HANG_S)
        assert not thread.is_alive()
    for frame in engine.unfinished:
        stats.cameras[frame.camera].dropped("failed")
    return results, stats, errors


def test_each_camera_keeps_its_order_though_requests_finish_out_of_order() -> None:
    rng = np.random.default_rng(3)
    results, stats, errors = run(Device(lambda: float(rng.uniform(0, 0.004))), {"a": 60, "b": 60, "c": 60})
    assert not errors
    for name in "abc":
        assert [r.frame.seq for r in results if r.frame.camera == name] == list(range(60))
        assert stats.cameras[name].figures().in_flight == 0


def test_a_picture_that_cannot_be_converted_is_its_cameras_alone(caplog: pytest.LogCaptureFixture) -> None:
    results, stats, errors = run(Device(), {"unreadable": 20, "b": 20})
    assert not errors
    assert [each.frame.seq for each in results] == list(range(20))
    assert stats.cameras["unreadable"].summary()["dropped"] == {"unreadable": 20}
    assert stats.cameras["unreadable"].figures().in_flight == 0
    assert [record.message for record in caplog.records if "cannot be converted" in record.message] == [
        "unreadable: a picture cannot be converted: OSError: [Errno 95] Operation not supported"
    ]


def test_pixels_of_a_frame_reach_the_request_that_answers_for_it() -> None:
    device = Device()
    results, _, _ = run(device, {"a": 40})
    assert device.seen == [r.frame.seq for r in results] == list(range(40))


def test_a_device_that_fails_raises_one_line_and_every_frame_is_counted() -> None:
    results, stats, errors = run(Device(fails_at=10), {"a": 30, "b": 30})
    assert [str(e) for e in errors if isinstance(e, DeviceError)] == [
        "stand-in: inference failed: device lost while working"
    ]
    for camera in stats.cameras.values():
        figures = camera.figures()
        assert figures.in_flight == 0, figures
    assert sum(camera.figures().inferred for camera in stats.cameras.values()) == len(results)


def test_a_device_that_hangs_is_named_after_the_time_limit() -> None:
    _, stats, errors = run(Device(lambda: 3600.0), {"a": 5}, timeout=0.3)
    assert str(errors[0]) == (
        "stand-in has not answered for 0.3 s: the device hangs; restart it or choose another with infer.device"
    )
    assert stats.cameras["a"].figures().in_flight == 0


def test_requests_still_in_flight_are_cancelled_when_a_device_fails() -> None:
    # It answers nothing, and fails once all of its requests are in flight: the oldest tells of it.
    device = Device(lambda: 3600.0, fails_at=Device.requests)
    _, stats, errors = run(device, {"a": 9})
    assert any(isinstance(error, DeviceError) for error in errors)
    assert [request.cancelled for request in device.made[:3]] == [False, True, True]
    figures = stats.cameras["a"].figures()
    assert figures.dropped["failed"] >= 3
    assert figures.in_flight == 0


def test_every_stage_of_every_frame_is_timed() -> None:
    _, stats, _ = run(Device(), {"a": 25})
    stages = stats.stages()
    assert set(stages) == {"decode", "wait", "prepare", "infer", "parse"}
    assert all(spread.count == 25 for spread in stages.values())
    assert stages["infer"].p50 >= 1.0


@pytest.mark.parametrize("cameras", [{"a": 1}, {"a": 0}, {"a": 0, "b": 3}])
def test_few_or_no_frames_end_cleanly(cameras: dict[str, int]) -> None:
    results, _, errors = run(Device(), cameras)
    assert not errors
    assert len(results) == sum(cameras.values())
