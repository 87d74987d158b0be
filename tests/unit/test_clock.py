"""The time of a process that is paused does not pass, and no limit of anything is over because of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from pipeline.clock import LONGEST_GAP_S, PROCESS, PULSE_S, RunningTime
from pipeline.concurrency.threads import ThreadGroup
from tests.support.wait import HANG_S, until


class Machine:
    """The machine's clock, moved by hand."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def watched(time_of: RunningTime, gaps: list[float], machine: Machine) -> None:
    """Let the clock be looked at, after each of these gaps once."""
    left = list(gaps)

    def wait(seconds: float) -> bool:
        assert seconds == PULSE_S
        machine.seconds += left.pop(0) if left else 0.0
        return not left

    time_of.pulse(wait)


def test_a_gap_in_which_nobody_could_look_at_the_clock_is_left_out() -> None:
    machine = Machine()
    running = RunningTime(machine)
    before = running.monotonic()
    watched(running, [PULSE_S, PULSE_S, 3600.0, PULSE_S, 0.0], machine)
    assert running.monotonic() - before == pytest.approx(3 * PULSE_S)
    assert running.paused() == 3600.0


def test_a_short_gap_counts_for_a_busy_machine_is_no_pause() -> None:
    machine = Machine()
    running = RunningTime(machine)
    before = running.monotonic()
    watched(running, [LONGEST_GAP_S] * 4, machine)
    assert running.monotonic() - before == 4 * LONGEST_GAP_S


def test_a_clock_that_nobody_is_known_to_look_at_leaves_nothing_out() -> None:
    machine = Machine()
    running = RunningTime(machine)
    before = running.monotonic()
    machine.seconds += 3600
    assert running.monotonic() - before == 3600


def test_the_first_to_look_after_a_pause_sees_none_of_it() -> None:
    machine = Machine()
    running = RunningTime(machine)
    seen: list[float] = []

    def wait(seconds: float) -> bool:
        machine.seconds += 60
        seen.append(running.monotonic())
        return True

    before = running.monotonic()
    running.pulse(wait)
    assert seen == [before]


PROGRAM = """
import threading, time
from pipeline.clock import PROCESS
from pipeline.concurrency.threads import ThreadGroup
over = threading.Event()
threads = ThreadGroup(lambda: None)
threads.start("waits", lambda: over.wait())
real, own = time.monotonic(), PROCESS.monotonic()
print("ready", flush=True)
input()
print(time.monotonic() - real, PROCESS.monotonic() - own, threads.join(0.2), flush=True)
over.set()
"""


def test_a_process_that_is_stopped_and_goes_on_has_missed_nothing() -> None:
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            child.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, child.pid, os.WSTOPPED)
            stopped = time.monotonic()
            assert until(lambda: time.monotonic() - stopped > 2 * LONGEST_GAP_S)
            child.send_signal(signal.SIGCONT)
            child.stdin.write("\n")
            child.stdin.close()
            real, own, stuck = child.stdout.readline().split(maxsplit=2)
        finally:
            child.kill()
    assert float(real) - float(own) > LONGEST_GAP_S
    assert stuck.strip() == "['waits']"


def test_somebody_looks_at_the_clock_while_any_thread_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    machine = PROCESS._machine
    monkeypatch.setattr(PROCESS, "_machine", lambda: looks.append(machine()) or looks[-1])
    group = ThreadGroup(lambda: None)

    def body() -> None:
        group.stopping.wait(HANG_S)

    group.start("waits", body)
    assert until(lambda: len(looks) > 3)
    group.stop()
    assert group.join(HANG_S) == []
