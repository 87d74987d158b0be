"""What tests start ends with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.reaper import MARK
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
PROGRAM = """
import subprocess, sys, time
from tests.support import reaper
alive = reaper.guard()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_killed_run_of_the_tests_takes_its_children_with_it() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        child = psutil.Process(int(run.stdout.readline()))
        # Between its fork and its exec a process still shows the environment that its parent was started with.
        marked = until(lambda: child.environ().get(MARK, "").startswith(f"{os.environ[MARK]}/"))
        run.send_signal(signal.SIGKILL)
    assert marked
    assert until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert psutil.Process().is_running()
