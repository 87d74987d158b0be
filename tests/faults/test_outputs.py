"""A terminal, a disk or a window that goes away."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.oracle import STOPPED
from tests.faults.program import Program
from tests.faults.rig import FPS, Rig
from tests.support.wait import HANG_S

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

LOGGED = 2.5
"""Seconds in which a line of the status has been written at least once."""
QUIT = """
import ctypes, sys
class Message(ctypes.Structure):
    _fields_ = [("kind", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int),
                ("screen", ctypes.c_void_p), ("window", ctypes.c_ulong), ("about", ctypes.c_ulong),
                ("bits", ctypes.c_int), ("words", ctypes.c_long * 5), ("room", ctypes.c_long * 24)]
library = ctypes.CDLL("libX11.so.6")
library.XOpenDisplay.restype, library.XInternAtom.restype = ctypes.c_void_p, ctypes.c_ulong
screen = ctypes.c_void_p(library.XOpenDisplay(None))
about, quit = (library.XInternAtom(screen, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
window = ctypes.c_ulong(int(sys.argv[1]))
message = Message(33, 0, 1, screen, window, about, 32, (ctypes.c_long * 5)(quit, 0, 0, 0, 0))
library.XSendEvent(screen, window, 0, ctypes.c_long(0), ctypes.byref(message))
library.XSync(screen, 0)
"""


def mounts() -> bool:
    """Whether this system lets us mount a disk of our own."""
    command = ["unshare", "-Urm", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


def _wait_for_pictures(program: Program, since: float) -> None:
    """Wait until the program has shown more than a second of pictures, of which the last are later than `since`."""
    program.wait_until(lambda: len(shown := program.shown("door")) > FPS and shown[-1].at > since)


@pytest.fixture
def door() -> Iterator[Rig]:
    rig = Rig("door")
    yield rig
    rig.stop()


def test_events_into_a_pipe_that_is_closed_stop_nothing_else(tmp_path: Path, door: Rig) -> None:
    reading, writing = os.pipe()
    program = Program(tmp_path, {"door": door.address}, outputs=[{"events": {"path": "-"}}], stdout=writing)
    os.close(writing)
    try:
        assert os.read(reading, 10)
        program.wait_for("door")
        os.close(reading)
        _wait_for_pictures(program, time.time() + LOGGED)
        code, _ = program.end()
    finally:
        program.kill()
    assert code == 130, program.errors
    assert "Traceback" not in program.errors
    assert "cannot write standard output: its reader has gone" in program.errors
    assert program.summary()["outputs"]["events"]["lost"] > 0


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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_on_a_full_disk_stops_nothing(tmp_path: Path, door: Rig) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    program = Program(tmp_path, {"door": door.address}, "-v", stdout=full, stderr=full)
    os.close(full)
    try:
        _wait_for_pictures(program, time.time() + LOGGED)
        code, _ = program.end()
    finally:
        program.kill()
    assert code == 130
    assert program.summary()["cameras"]["door"]["shown"] > FPS


def test_a_status_that_nobody_reads_stops_nothing(tmp_path: Path, door: Rig) -> None:
    reading, writing = os.pipe()
    program = Program(tmp_path, {"door": door.address}, stderr=writing)
    os.close(writing)
    try:
        program.wait_for("door")
        os.close(reading)
        _wait_for_pictures(program, time.time() + LOGGED)
        assert program.process.poll() is None, program.texts()["stdout"]
        code, _ = program.end()
    finally:
        program.kill()
    assert code == 130
    assert program.summary()["cameras"]["door"]["shown"] > FPS


def test_a_disk_that_fills_up_stops_nothing_else(tmp_path: Path, door: Rig) -> None:
    if not mounts():
        pytest.skip("unshare gives no disk of our own here")
    disk = tmp_path / "disk"
    disk.mkdir()
    prefix = ("unshare", "-Urm", "sh", "-c", f'mount -t tmpfs -o size=256k none "{disk}" && exec "$@"', "sh")
    video = {"video": {"path": str(disk / "boxed.mp4"), "bitrate": 4_000_000}}
    program = Program(tmp_path / "run", {"door": door.address}, outputs=[video], prefix=prefix)
    try:
        program.wait_until(lambda: "the disk is full" in program.texts()["stderr"])
        _wait_for_pictures(program, time.time() + LOGGED)
        code, _ = program.end()
    finally:
        program.kill()
    assert code == 130, program.errors
    assert program.summary()["outputs"]["video"]["lost"] > 0
    assert "Traceback" not in program.errors


def test_a_window_without_a_display_ends_with_one_line(tmp_path: Path, door: Rig) -> None:
    nowhere = {"DISPLAY": "", "WAYLAND_DISPLAY": ""}
    program = Program(tmp_path, {"door": door.address}, outputs=[{"window": {}}], environment=nowhere)
    try:
        code = program.wait()
    finally:
        program.kill()
    assert code == 5, program.errors
    assert "Traceback" not in program.errors
    assert len(program.errors.strip().splitlines()) == 1


@pytest.mark.skipif(shutil.which("Xvfb") is None or shutil.which("xdotool") is None, reason="needs Xvfb and xdotool")
def test_a_window_that_is_closed_ends_the_program_well(tmp_path: Path, door: Rig) -> None:
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"]
    screen = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as numbers:
        there = {"DISPLAY": f":{numbers.readline().strip()}", "WAYLAND_DISPLAY": ""}
    program = Program(tmp_path, {"door": door.address}, outputs=[{"window": {}}], environment=there)
    try:
        program.wait_for("door")
        here = {**os.environ, **there}
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^Lookout$"]
        found = subprocess.run(search, env=here, capture_output=True, text=True, timeout=HANG_S, check=True)
        # What a window manager sends when a user clicks on the cross.
        subprocess.run([sys.executable, "-c", QUIT, found.stdout.split()[0]], env=here, timeout=HANG_S, check=True)
        begun = time.time()
        code = program.wait()
        seconds = program.took(begun)
    finally:
        program.kill()
        screen.terminate()
        screen.wait()
    assert code == 0, program.errors
    assert seconds < STOPPED
    assert "Traceback" not in program.errors
