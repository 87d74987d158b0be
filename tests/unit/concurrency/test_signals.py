"""A signal is heard by the innermost that asked for it, on a thread of its own, and becomes no exception."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pipeline.concurrency.signals import Interrupt
from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[3]


def test_the_innermost_hears_and_what_was_before_comes_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    asked = threading.Event()
    with Interrupt(), Interrupt(asked.set) as inner:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(HANG_S)
        assert inner.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


PROGRAM = """
import os, signal, sys
from pipeline.concurrency.signals import Interrupt
with Interrupt(code=lambda number: 7):
    with Interrupt(lambda: None):
        pass
    os.kill(os.getpid(), int(sys.argv[1]))
    while True:
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_where_there_is_nothing_to_end_in_order_the_process_ends_at_once(number: int) -> None:
    command = [sys.executable, "-c", PROGRAM, str(int(number))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")
