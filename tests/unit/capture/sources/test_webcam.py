"""A webcam through OpenCV's real V4L2 code, with a camera that a preloaded library plays."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from tests.support.clips import street
from tests.support.wait import HANG_S

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="V4L2 is of Linux"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed"),
]

READER = """
import sys, time
from pathlib import Path
from pipeline.capture import open_source
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from tests.support.clips import number_in

address, fourcc, count, flag = sys.argv[1:5]
source = open_source(address, Capture(fourcc=fourcc, read_timeout=1.2, start_timeout=60))
try:
    opened = time.monotonic()
    source.open()
    print(source.live, source.local, source.fps, source.description)
    for _ in range(int(count)):
        sample = source.read()
        pixels = sample.picture.bgr()
        stamp = "stamped" if opened - 0.01 <= sample.pts <= time.monotonic() + 0.01 else "unstamped"
        print(pixels.shape[1], pixels.shape[0], number_in(pixels), stamp)
    if flag:
        Path(flag).touch()
        while True:
            source.read()
except SourceError as error:
    print(error.reason, "|", error)
source.close()
source.close()
"""


UNWANTED = """
from pipeline.capture import open_source
from pipeline.config.cameras import Capture

source = open_source("77", Capture())
wanted = False
source.wanted = lambda: wanted
source.open()
for number in range(9):
    wanted = number > 5
    sample = source.read()
    print(sample.picture is None, sample.pts is None, sample.decode > 0)
source.close()
"""


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("webcam")
    code = Path(__file__).parents[3] / "support" / "servers" / "v4l2.c"
    subprocess.run(
        ["gcc", "-shared", "-fPIC", "-O2", "-o", folder / "v4l2.so", code, "-ldl"], check=True, timeout=HANG_S
    )
    with (folder / "frames").open("wb") as frames:
        for picture in street(20, 1280, 720):
            data = cv2.imencode(".jpg", picture)[1].tobytes()
            frames.write(struct.pack("<I", len(data)) + data)
    return folder / "v4l2.so"


def read(
    library: Path,
    tmp_path: Path,
    address: str = "77",
    fourcc: str = "MJPG",
    count: int = 0,
    flag: str = "",
    error: int = 0,
    reader: str = READER,
    device: str = "/dev/video77",
) -> list[str]:
    """What a program says that reads `count` pictures, then sets `flag` and reads on."""
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "FAKE_CAMERA": device,
        "FAKE_CAMERA_FRAMES": str(library.parent / "frames"),
        "FAKE_CAMERA_GONE": str(tmp_path / "gone"),
        "FAKE_CAMERA_MUTE": str(tmp_path / "mute"),
    }
    if error:
        environment["FAKE_CAMERA_ERRNO"] = str(error)
    told = [address, fourcc, str(count), str(tmp_path / flag) if flag else ""]
    done = subprocess.run(
        [sys.executable, "-c", reader, *told],
        env=environment,
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("address", ["77", "/dev/video77"])
def test_compressed_pictures_are_asked_for_and_come(library: Path, tmp_path: Path, address: str) -> None:
    said = read(library, tmp_path, address, count=8)
    assert said[0] == "True True 30.0 MJPG 1280x720 at 30 fps"
    numbers = [int(line.split()[2]) for line in said[1:]]
    assert said[1] == f"1280 720 {numbers[0]} stamped"
    assert numbers == list(range(numbers[0], numbers[0] + 8))


def test_pictures_that_nobody_wants_are_not_unpacked_after_the_first(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, reader=UNWANTED)
    assert said == ["False False True", *["True False False"] * 5, *["False False True"] * 3]


def test_another_format_is_taken_if_it_is_configured(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, fourcc="YUYV", count=3)
    assert said[0] == "True True 15.0 YUYV 640x480 at 15 fps"
    assert said[1].startswith("640 480 ")


def test_a_camera_that_is_unplugged_is_noticed(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, count=3, flag="gone")
    assert said[-1] == "unplugged | /dev/video77: the camera was unplugged"


def test_a_camera_that_falls_silent_is_noticed(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, count=3, flag="mute")
    assert said[-1] == "timed out | /dev/video77: no picture for 1.2 s"


def test_a_camera_in_use_is_busy(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, error=errno.EBUSY)
    assert said == ["busy | /dev/video77: another program is using the camera; close it and try again"]


def test_a_device_without_pictures_is_unsupported(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, error=errno.EINVAL)
    assert said == ["unsupported | /dev/video77: this device gives no pictures that OpenCV can read"]


def test_a_camera_that_is_not_there_is_not_found(library: Path, tmp_path: Path) -> None:
    said = read(library, tmp_path, "78")
    assert said[0].startswith("not found | /dev/video78: no such camera; ")


def test_a_camera_one_may_not_use_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.capture.sources.webcam import WebcamSource
    from pipeline.config.cameras import Capture
    from pipeline.errors import SourceError

    def refused(*anything: object) -> int:
        raise PermissionError(errno.EACCES, "denied")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(SourceError, match="add the user to the group video and log in again") as caught:
        WebcamSource("0", Capture()).open()
    assert caught.value.reason == "unauthorized"


@pytest.mark.parametrize("device", ["/dev/door-cam", "/dev/v4l/by-id/usb-046d_HD_Webcam_C920-video-index0"])
def test_a_camera_may_have_another_name(library: Path, tmp_path: Path, device: str) -> None:
    head, *pictures = read(library, tmp_path, device, count=3, device=device)
    assert head == read(library, tmp_path)[0]
    first, *later = (int(each.split()[2]) for each in pictures)
    assert later == [first + 1, first + 2]


@pytest.mark.parametrize("device", ["/dev/door-cam", "/dev/v4l/by-id/usb-none"])
def test_a_camera_of_another_name_that_is_not_there_is_no_file(library: Path, tmp_path: Path, device: str) -> None:
    (told,) = read(library, tmp_path, device)
    assert told.startswith(f"not found | {device}: no such camera; ")
