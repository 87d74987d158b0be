"""Ctrl-C and SIGTERM in every state: the end within two seconds with the right code, a second Ctrl-C at once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from tests.faults.oracle import SLACK, STOPPED, leaks
from tests.faults.program import CALM, REAL, Program
from tests.faults.rig import FPS, SECRET, USER, Fault, RemoteRig, Rig, at_once, off, put
from tests.support.clips import street, write_file
from tests.support.wait import until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@dataclass
class Ended:
    """How a program took a signal."""

    code: int
    seconds: float
    words: str
    texts: dict[str, str]
    video: Path


def _pictures(path: Path) -> int:
    """How many pictures a file holds that may still be written."""
    try:
        with av.open(str(path)) as container:
            return sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, OSError):
        return 0


STATES: dict[str, tuple[Fault, str]] = {
    "connecting": (put("server.mute", {"OPTIONS"}), "connecting"),
    "waiting-for-pictures": (put("server.stalled", True), "connecting"),
    "retrying": (off, "retrying"),
    "locked-out": (put("server.status", {"DESCRIBE": "401 Unauthorized"}), "offline"),
    "recording": (at_once(lambda rig: None), "live"),
    "stalled": (at_once(lambda rig: None), "live"),
}
SIGNALS = {"ctrl-c": (signal.SIGINT, 130), "sigterm": (signal.SIGTERM, 0)}
CASES = [f"{state} {name}" for state in STATES for name in SIGNALS]


@pytest.fixture(scope="module")
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Ended]]:
    folder = tmp_path_factory.mktemp("signals")
    clip = write_file(folder / "street.mp4", street(40, 320, 240), FPS)

    def run(case: str) -> Ended:
        state, name = case.split()
        fault, word = STATES[state]
        rig = Rig("door")
        heal = fault(rig)
        home = folder / state / name
        outputs = [{"video": {"path": str(home / "{camera}.mp4")}}]
        well = {"source": str(clip), "capture": {"loop": True, "pace": "realtime"}}
        program = Program(home, {"door": rig.address, "well": well}, outputs=outputs)
        try:
            program.wait_for("well")
            program.wait_for("door", state=word)
            rig.server.stalled = state == "stalled" or rig.server.stalled
            until(lambda: _pictures(home / "well.mp4") > 0)
            code, seconds = program.end(SIGNALS[name][0])
        finally:
            program.kill()
            heal()
            rig.stop()
        return Ended(code, seconds, program.histories()["door"].words, program.texts(), home / "well.mp4")

    chosen = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(4) as pool:
        running: dict[str, Future[Ended]] = {case: pool.submit(run, case) for case in CASES if case in chosen}
        yield lambda case: running[case].result()


@pytest.mark.parametrize("case", CASES)
def test_a_signal_ends_the_program_in_every_state(ended: Callable[[str], Ended], case: str) -> None:
    found = ended(case)
    assert found.code == SIGNALS[case.split()[1]][1]
    assert found.seconds < STOPPED
    assert "Traceback" not in found.texts["stderr"]
    assert leaks(SECRET, USER, found.texts) == []
    assert _pictures(found.video) > 0


def test_a_second_ctrl_c_ends_the_program_at_once(tmp_path: Path) -> None:
    rig = Rig("door")
    rig.server.mute = {"OPTIONS"}
    program = Program(tmp_path, {"door": rig.address})
    try:
        program.wait_for("door", state="connecting")
        program.process.send_signal(signal.SIGINT)
        code, seconds = program.end(signal.SIGINT)
    finally:
        program.kill()
        rig.stop()
    assert code == 130
    assert seconds < SLACK + 0.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_model_is_compiled_is_heard(tmp_path: Path, number: int) -> None:
    program = Program(tmp_path, {"demo": "demo"}, model=REAL)
    try:
        program.wait_for("demo", state="connecting")
        code, seconds = program.end(number)
    finally:
        program.kill()
    assert code == (130 if number == signal.SIGINT else 0), program.errors
    assert seconds < STOPPED
    assert "Traceback" not in program.errors


def test_a_terminal_that_goes_away_leaves_a_playable_file(tmp_path: Path) -> None:
    rig = Rig("door")
    video = tmp_path / "boxed.mp4"
    program = Program(tmp_path, {"door": rig.address}, outputs=[{"video": {"path": str(video)}}])
    try:
        program.wait_until(lambda: _pictures(video) > FPS)
        _, seconds = program.end(signal.SIGHUP)
    finally:
        program.kill()
        rig.stop()
    assert seconds < STOPPED
    assert _pictures(video) > FPS


def test_a_pause_that_is_longer_than_every_limit_counts_against_nothing(tmp_path: Path) -> None:
    limits = {"open_timeout": 2, "read_timeout": 2, "start_timeout": 2, "stall_timeout": 2}
    rig = RemoteRig("door")
    video = tmp_path / "boxed.mp4"
    program = Program(
        tmp_path,
        {"door": rig.address},
        outputs=[{"video": {"path": str(video)}}],
        capture=limits,
        infer={**CALM["infer"], "timeout": 1},
    )
    assert rig.process is not None
    both = (program.process, rig.process)
    try:
        program.wait_for("door")
        for each in both:
            each.send_signal(signal.SIGSTOP)
        stopped, before = time.monotonic(), len(program.shown("door"))
        until(lambda: time.monotonic() - stopped > 5)
        for each in reversed(both):
            each.send_signal(signal.SIGCONT)
        program.wait_until(lambda: len(program.shown("door")) > before + 3 * FPS)
        code, _ = program.end()
    finally:
        program.kill()
        rig.stop()
    assert code == 130, program.errors
    assert program.histories()["door"].words == "connecting live "
