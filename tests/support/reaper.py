"""Ends the processes that tests started, when the process that ran the tests has gone, whatever ended it.

Every process started by a test inherits a mark in its environment. A small process waits until the tests' end of
a pipe is closed, which the system does even for a killed process, and then kills all that bear the mark.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import uuid

import psutil

MARK = "LOOKOUT_TEST_RUN"


def guard() -> int:
    """Mark the children of this process from now on; return the descriptor that keeps them alive while it is open."""
    mark = f"{os.environ.get(MARK, '')}/{uuid.uuid4().hex}"
    waiting, alive = os.pipe()
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    reaping = subprocess.Popen(
        [sys.executable, __file__, mark],
        stdin=waiting,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=unmarked,
        start_new_session=True,
    )
    # It outlives this process, which therefore never waits for it and must not be warned of that.
    reaping.returncode = 0
    os.close(waiting)
    os.environ[MARK] = mark
    return alive


def reap(mark: str) -> None:
    """Kill every process whose mark begins with this one, until there is none."""
    while marked := [each for each in psutil.process_iter() if _mark(each).startswith(mark)]:
        for each in marked:
            with contextlib.suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(marked, timeout=1)


def _mark(process: psutil.Process) -> str:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return ""


if __name__ == "__main__":
    sys.stdin.buffer.read()
    reap(sys.argv[1])
