"""A webcam that is unplugged or falls silent, played by a preloaded library."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2

from tests.faults.oracle import Verdict
from tests.faults.program import REAL, ROOT
from tests.faults.rig import Case, Fault, Healing, Rig
from tests.faults.watch import Report, watch
from tests.support.clips import street

DEVICE = "/dev/video77"
UNPLUGGED = Verdict(
    "connecting live offline:unplugged retrying (offline:not-found retrying )*live", (0, 1.5), 4, oldest=float("inf")
)
MUTE = Verdict(
    r"connecting live stalled:timed-out retrying (offline:[\w-]+ retrying )*live", (1, 4.5), 8, oldest=float("inf")
)


def possible() -> bool:
    """Whether the library can be built and loaded here."""
    return sys.platform.startswith("linux") and shutil.which("gcc") is not None


def unplugged(folder: Path) -> Report:
    """What came of a camera whose cable was out for three seconds, with the detector of every installation."""
    return _watched(folder, "11-unplugged", "gone", UNPLUGGED, 3, REAL)


def mute(folder: Path) -> Report:
    """What came of a camera that gave no pictures for five seconds."""
    return _watched(folder, "11-mute", "mute", MUTE, 5)


def _watched(
    folder: Path, name: str, flag: str, verdict: Verdict, lasts: float, model: Mapping[str, object] | None = None
) -> Report:
    library = folder / "v4l2.so"
    code = ROOT / "tests" / "support" / "servers" / "v4l2.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, code, "-ldl"], check=True, timeout=60)
    with (folder / "frames").open("wb") as frames:
        for picture in street(20, 1280, 720):
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            frames.write(struct.pack("<I", len(data)) + data)
    environment = {
        "LD_PRELOAD": str(library),
        "FAKE_CAMERA": DEVICE,
        "FAKE_CAMERA_FRAMES": str(folder / "frames"),
        "FAKE_CAMERA_GONE": str(folder / "gone"),
        "FAKE_CAMERA_MUTE": str(folder / "mute"),
    }
    case = Case(name, _while_there_is(folder / flag), verdict, lasts, address=DEVICE)
    return watch(folder / "run", [case], environment=environment, model=model)


def _while_there_is(flag: Path) -> Fault:
    def begin(rig: Rig) -> Healing:
        flag.touch()
        remove: Callable[[], None] = flag.unlink
        return remove

    return begin
