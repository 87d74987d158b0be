"""What the machine denied a process is told from what the process itself did not do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.toll import Toll
from tests.support.wait import until

BUSY = "print(flush=True)\nwhile True: pass"
IDLE = "import sys\nprint(flush=True)\nsys.stdin.read()"

Start = Callable[[str], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(code: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", code]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not count")
def test_a_process_that_shares_its_processor_is_denied_time_and_an_idle_one_none(start: Start) -> None:
    busy, idle = Toll(start(BUSY).pid), Toll(start(IDLE).pid)
    start(BUSY)
    begun = time.time()
    assert until(lambda: busy.denied(begun, time.time()) > 1.0)
    assert idle.denied(begun, time.time()) < busy.denied(begun, time.time()) / 2
    assert busy.denied(begun - 9, begun - 8) == 0.0


def test_a_process_that_has_gone_is_denied_nothing_more(start: Start) -> None:
    process = start(BUSY)
    toll = Toll(process.pid)
    process.kill()
    process.communicate()
    now = time.time()
    assert toll.denied(now + 1, now + 9) == 0.0
