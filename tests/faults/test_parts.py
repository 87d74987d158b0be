"""A part of the program that hangs, fails, dies or is slow: an end in time with its own code, or no harm."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.faults.broken import AFTER, SLOWER
from tests.faults.oracle import SLACK, STOPPED, History, uneven, unharmed
from tests.faults.program import CALM, Program
from tests.faults.rig import Rig
from tests.faults.toll import Toll

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

FPS = 8
PATIENCE = 1.0
"""Seconds after which the program gives up a device that does not answer."""
DEVICE_FAULTS = ("hangs", "fails", "refuses")
FRAMES = {"nonsense": 2 * FPS, "slow": 6 * FPS, "capture": 3 * FPS, **dict.fromkeys(DEVICE_FAULTS, 6 * FPS)}
"""How many pictures a program is to see whose fault does not end it."""


@dataclass
class Ended:
    """What became of a program."""

    code: int
    seconds: float
    """From the last thing that it told to its end, less those that the machine denied."""
    errors: str
    history: History
    summary: dict[str, Any]
    toll: Toll
    ours: Toll
    """That of the process that plays the camera."""


KINDS = ("hangs", "fails", "refuses", "nonsense", "capture", "feed", "collect", "render", "status", "slow")


@pytest.fixture(scope="module")
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Ended]]:
    folder = tmp_path_factory.mktemp("parts")
    rig = Rig("well", FPS)
    ours = Toll(os.getpid())

    def run(kind: str) -> Ended:
        outputs = [{"video": {"path": str(folder / kind / "boxed.mp4")}}] if kind == "slow" else []
        sections: dict[str, Any] = {"infer": {**CALM["infer"], "timeout": PATIENCE}} if kind == "hangs" else {}
        command = ("-m", "tests.faults.broken", kind)
        told = ("--frames", str(FRAMES[kind])) if kind in FRAMES else ()
        program = Program(folder / kind, {"well": rig.address}, *told, command=command, outputs=outputs, **sections)
        code = program.wait()
        ended = time.time()
        history = program.histories().get("well", History())
        times = [change.at for change in history.changes] + [shown.at for shown in history.shown]
        last = max(times, default=program.began)
        took = ended - last - program.toll.denied(last, ended)
        return Ended(code, took, program.errors, history, program.summary(), program.toll, ours)

    chosen = {item.callspec.params.get("kind") for item in request.session.items if hasattr(item, "callspec")}
    names = [item.name for item in request.session.items]
    chosen |= {kind for kind in ("slow", "nonsense") if any(kind in name for name in names)}
    chosen |= {"capture"} if any("one_camera" in name for name in names) else set()
    with ThreadPoolExecutor(4) as pool:
        running: dict[str, Future[Ended]] = {kind: pool.submit(run, kind) for kind in KINDS if kind in chosen}
        yield lambda kind: running[kind].result()
    ours.close()
    rig.stop()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("hangs", "has not answered for 1 s: the device hangs"),
        ("fails", "inference failed: out of memory on the device"),
        ("refuses", "inference failed: the device was reset"),
    ],
)
def test_a_device_that_fails_is_told_and_outlived(ended: Callable[[str], Ended], kind: str, said: str) -> None:
    found = ended(kind)
    assert (found.code, said in found.errors, "Traceback" in found.errors) == (0, True, False), found.errors
    counted = found.summary["cameras"]["well"]
    # The device works again once it was made ready anew.
    assert counted["inferred"] > AFTER
    assert counted["passed"] > 0
    assert found.history.shown
    assert uneven(counted) == []


def test_a_fault_of_our_own_in_one_camera_is_told_and_outlived(ended: Callable[[str], Ended]) -> None:
    found = ended("capture")
    assert (found.code, "planted in capture-well" in found.errors) == (0, True), found.errors
    assert "Traceback" not in found.errors
    assert found.summary["cameras"]["well"]["reconnects"] == 1
    assert len(found.history.shown) > 2 * FPS
    assert uneven(found.summary["cameras"]["well"]) == []


@pytest.mark.parametrize("kind", ["feed", "collect", "render", "status"])
def test_a_thread_that_dies_takes_the_whole_program_with_it(ended: Callable[[str], Ended], kind: str) -> None:
    found = ended(kind)
    assert found.code == 1, found.errors
    assert found.seconds < STOPPED
    last = found.errors.strip().splitlines()[-1]
    assert "planted in" in last
    assert "Traceback" not in found.errors


def test_nonsense_from_the_model_is_left_out(ended: Callable[[str], Ended]) -> None:
    found = ended("nonsense")
    assert found.code == 0, found.errors
    assert len(found.history.shown) > FPS
    for shown in found.history.shown:
        for x1, y1, x2, y2 in shown.boxes:
            assert all(map(math.isfinite, (x1, y1, x2, y2)))
            assert 0 <= x1 <= x2 <= shown.size[0]
            assert 0 <= y1 <= y2 <= shown.size[1]


def test_an_output_that_is_slow_does_not_delay_the_other(ended: Callable[[str], Ended]) -> None:
    found = ended("slow")
    assert found.code == 0, found.errors
    first = found.history.shown[0].at

    def denied(begin: float, end: float) -> float:
        """What the machine denied the program, or us, who play the camera."""
        return found.toll.denied(begin, end) + found.ours.denied(begin, end)

    assert unharmed(found.history, FPS, first + 1, found.history.shown[-1].at, SLACK, denied) == []
    # One picture may wait at the end, and one be under way.
    assert found.summary["outputs"]["video"]["shown"] <= found.summary["outputs"]["events"]["shown"] / SLOWER + 2
