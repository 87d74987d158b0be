"""A terminal, a disk or a window that goes away."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults.oracle import SLACK
from tests.faults.program import Program
from tests.faults.rig import FPS, Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(90)]

IN_TIME = 3.0
"""Seconds from the loss of an output to the end of the program."""


def mounts() -> bool:
    """Whether this system lets us mount a disk of our own."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture
def door() -> Rig:
    rig = Rig("door")
    yield rig
    rig.stop()


def test_events_into_a_pipe_that_is_closed_end_with_one_line(tmp_path: Path, door: Rig) -> None:
    reading, writing = os.pipe()
    program = Program(tmp_path, {"door": door.address}, outputs=[{"events": {"path": "-"}}], stdout=writing)
    os.close(writing)
    try:
        assert os.read(reading, 10)
        program.wait_for("door")
        os.close(reading)
        begun = time.monotonic()
        code = program.wait()
    finally:
        program.kill()
    assert code == 5, program.errors
    assert time.monotonic() - begun < IN_TIME + SLACK
    assert "Traceback" not in program.errors
    assert "its reader has gone" in program.errors.strip().splitlines()[-1]


def test_a_summary_that_nobody_reads_is_no_failure(tmp_path: Path, door: Rig) -> None:
    reading, writing = os.pipe()
    program = Program(tmp_path, {"door": door.address}, stdout=writing)
    os.close(writing)
    os.close(reading)
    try:
        program.wait_for("door")
        code, _ = program.end()
    finally:
        program.kill()
    assert code == 130, program.errors
    assert "Traceback" not in program.errors


def test_a_status_that_nobody_reads_stops_nothing(tmp_path: Path, door: Rig) -> None:
    reading, writing = os.pipe()
    program = Program(tmp_path, {"door": door.address}, stderr=writing)
    os.close(writing)
    try:
        program.wait_for("door")
        os.close(reading)
        time.sleep(3.5)
        before = len(program.histories()["door"].shown)
        time.sleep(1.5)
        assert program.process.poll() is None, program.texts()["stdout"]
        assert len(program.histories()["door"].shown) > before
        code, _ = program.end()
    finally:
        program.kill()
    assert code == 130
    assert program.summary()["cameras"]["door"]["shown"] > FPS


def test_a_disk_that_fills_up_ends_with_its_code(tmp_path: Path, door: Rig) -> None:
    if not mounts():
        pytest.skip("unshare gives no disk of our own here")
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = ("unshare", "-Urm", "sh", "-c", f'mount -t tmpfs -o size=256k none "{disk}" && exec "$@"', "sh")
    video = {"video": {"path": str(disk / "boxed.mp4"), "bitrate": 4_000_000}}
    program = Program(tmp_path / "run", {"door": door.address}, outputs=[video], prefix=prefix)
    try:
        code = program.wait(45)
    finally:
        program.kill()
    assert code == 5, program.errors
    assert "the disk is full" in program.errors.strip().splitlines()[-1]
    assert "Traceback" not in program.errors


def test_a_window_without_a_display_ends_with_one_line(tmp_path: Path, door: Rig) -> None:
    nowhere = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    program = Program(tmp_path, {"door": door.address}, outputs=[{"window": {}}], environment=nowhere)
    try:
        code = program.wait(20)
    finally:
        program.kill()
    assert code == 5, program.errors
    assert "Traceback" not in program.errors
    assert len(program.errors.strip().splitlines()) == 1
