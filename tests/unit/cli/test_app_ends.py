"""Every early end is clean: at any moment of the start, whatever signal comes and whatever is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from benchmarks.early_ends import ENDS, ended
from tests.support.wait import HANG_S, until

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("delay_s", [0.0, 0.6])
def test_ends_at_any_moment_are_clean_while_others_start_beside_them(delay_s: float, tmp_path: Path) -> None:
    faults: dict[str, str] = {}

    def end(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        faults[name] = ended(name, delay_s, folder)

    threads = [threading.Thread(target=end, args=(name,)) for name in ENDS]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert faults == dict.fromkeys(ENDS, "")


@pytest.mark.parametrize(
    ("arguments", "number", "code"),
    [
        (["run"], signal.SIGTERM, 0),
        (["street.yaml"], signal.SIGHUP, 0),
        ([], signal.SIGINT, 130),
        (["check", "street.yaml"], signal.SIGTERM, 143),
        (["check", "street.yaml"], signal.SIGINT, 130),
    ],
)
def test_a_signal_is_heard_before_anything_slow_is_imported(
    arguments: list[str], number: int, code: int, tmp_path: Path
) -> None:
    (tmp_path / "typer.py").write_text(f"import os\nos.kill(os.getpid(), {number:d})\nwhile True: pass\n")
    done = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_nohup_keeps_a_run_alive_when_its_terminal_goes(tmp_path: Path, quick_model: Path) -> None:
    command = ["nohup", sys.executable, str(ROOT / "run.py"), "-m", str(quick_model), "--events", "e.jsonl"]
    events = tmp_path / "e.jsonl"
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert until(lambda: events.exists() and "detections" in events.read_text())
            process.send_signal(signal.SIGHUP)
            before = events.stat().st_size
            assert until(lambda: events.stat().st_size > before + 1000)
            process.send_signal(signal.SIGTERM)
            assert process.wait(HANG_S) == 0
        finally:
            process.kill()


BUSY = """
import os, sys, threading
import cv2, numpy
from pipeline import cli
from pipeline.concurrency.threads import ThreadGroup

def blur():
    picture = numpy.zeros((2000, 2000, 3), numpy.uint8)
    while True:
        cv2.GaussianBlur(picture, (31, 31), 5)

def run(arguments):
    ThreadGroup(lambda: None).start("capture-demo", blur)
    threading.Event().wait(0.2)
    print("done")
    return 4

import pipeline.cli.app
pipeline.cli.app.main = run
raise SystemExit(cli.main())
"""


def test_a_thread_that_is_busy_in_foreign_code_does_not_spoil_the_end() -> None:
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", BUSY], cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
        assert (done.returncode, done.stdout, done.stderr) == (4, "done\n", "")
