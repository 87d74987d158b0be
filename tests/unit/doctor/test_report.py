"""`lookout doctor` as its users meet it: a report that can be read, YAML that can be pasted, an exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cli.app import main
from pipeline.config.cameras import Camera
from pipeline.config.load import parse
from pipeline.doctor.diagnosis import Diagnosis
from pipeline.doctor.report import paste
from tests.support.clips import Clip, encode, street
from tests.support.servers.rtsp import RtspServer
from tests.support.servers.stream_time import StreamTime, heard
from tests.support.wait import HANG_S, until
from tests.unit.capture.sources.test_webcam import library

__all__ = ["library"]

ROOT = Path(__file__).parents[3]
PASSWORD = "p@ss/w0rd"


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Twenty pictures a second, two keyframes."""
    return encode(street(20, 320, 180), 20, 10)


@pytest.fixture(autouse=True)
def stream_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets cameras be measured by the time of their streams, however busy this machine is."""
    monkeypatch.setattr("pipeline.doctor.report.SystemClock", StreamTime)
    with heard():
        yield


PATIENT = [f"--set=capture.{each}_timeout={HANG_S:g}" for each in ("open", "start", "read", "stall")]


def test_a_camera_gets_a_report_and_yaml_that_works(
    clip: Clip, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with RtspServer({"live": clip}, user="viewer", password=PASSWORD) as server:
        server.frame_rate = "50"
        assert main(["doctor", server.url("live"), "--seconds", "2.5", *PATIENT]) == 0
        printed = capsys.readouterr()
        report, _, pasted = printed.out.partition("to paste into a configuration:\n\n")
        lines = report.splitlines()
        assert lines[0] == f"rtsp://***@127.0.0.1:{server.port}/live"
        facts = {line[2:18].strip(): line[18:] for line in lines[1:] if line.startswith("  ") and line[2] != "-"}
        assert facts["transport"] == "tcp: works, udp: works"
        assert facts["stream"] == "h264 Constrained Baseline 1.2, 320x180, yuv420p"
        assert re.fullmatch(r"50 declared, [\d.]+ measured", facts["frames a second"])
        assert facts["parameter sets"] == "in the description and with the pictures"
        assert (facts["B-frames"], facts["errors"], facts["sound"]) == ("none", "none", "none")
        assert re.fullmatch(r"\d+ millionths (slow|fast), give or take \d+", facts["its clock"])
        assert re.fullmatch(r"\d+ ms at the end, \d+ ms at most", facts["late by"])
        assert "works, but:" in lines
        assert [line for line in lines if "declares 50 pictures a second but sends " in line and "'Frame rate'" in line]
        assert printed.err == ""
        monkeypatch.setenv("CAMERA_PASSWORD", "p%40ss%2Fw0rd")
        config = parse(pasted)
        assert config.cameras["127-0-0-1"].source == server.url("live")
        monkeypatch.setenv("DOOR", "p%40ss%2Fw0rd")
        address = f"rtsp://viewer:${{DOOR}}@127.0.0.1:{server.port}/live"
        assert main(["doctor", address, "--seconds", "1", "--set", "capture.transport=udp", *PATIENT]) == 0
        assert f"source: {address}\n" in f"{capsys.readouterr().out}\n"


def test_programs_get_json(clip: Clip, capsys: pytest.CaptureFixture[str]) -> None:
    with RtspServer({"live": clip}) as server:
        assert main(["doctor", server.url("live"), "--json", "--seconds", "1.5", *PATIENT]) == 0
        said = json.loads(capsys.readouterr().out)
        assert main(["doctor", server.url("other"), "--json", "--seconds", "2"]) == 3
        failed = json.loads(capsys.readouterr().out)
    assert list(said) == ["address", "verdict", "findings", "measured", "yaml"]
    assert said["measured"]["codec"] == "h264"
    assert said["measured"]["rhythm"]["pictures"] > 10
    assert (failed["verdict"], failed["yaml"], failed["measured"]["reason"]) == ("fails", "", "not found")
    assert [finding["weight"] for finding in failed["findings"]] == ["fails"]


SAYINGS = [
    ("nosuch.mp4", 3, "does not work:\n  - no such file\n"),
    ("fault:refuse:demo", 3, "does not work:\n  - nobody answers at that port, as rehearsed\n"),
    ("fault:disconnect@0.4:demo", 0, " s: the connection was cut, as rehearsed\n"),
    ("demo", 0, "\n\nto paste into a configuration:\n\ncameras:\n  demo:\n    source: demo\n"),
]


@pytest.mark.parametrize(("address", "code", "said"), SAYINGS)
def test_any_source_can_be_asked_about(address: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", address, "--seconds", "3" if "disconnect" in address else "1"]) == code
    assert said in capsys.readouterr().out


MISTAKES = [
    (["street.yaml"], "street.yaml: is a configuration; give the address of one camera"),
    (["fault:ice:demo"], "-i fault:ice:demo: cameras.demo.source: unknown kind of fault 'ice'; kinds: stall, "),
    (["demo", "--set", "capture.fps=x"], "--set capture.fps=x: capture.fps: must be a number, got 'x'"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES)
def test_a_mistake_is_told_in_a_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *arguments]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(said)
    assert (printed.out, printed.err.count("\n")) == ("", 1)


NOTED = """
import sys
from pathlib import Path
from pipeline.doctor.packet_probe import PacketProbe
from pipeline.cli.app import main

reads = []
read = PacketProbe.read

def noted(source):
    reads.append(source)
    if len(reads) == 2:
        Path(sys.argv[1]).touch()
    return read(source)

PacketProbe.read = noted
sys.exit(main(sys.argv[2:]))
"""
"""The program, which makes a file as soon as a first picture was measured."""


def test_ctrl_c_ends_it_with_what_was_measured(clip: Clip, tmp_path: Path) -> None:
    measured = tmp_path / "measured"
    with RtspServer({"live": clip}) as server:
        run = [sys.executable, "-c", NOTED, str(measured), "doctor", server.url("live"), "--seconds", "3600", *PATIENT]
        process = subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            assert until(lambda: measured.exists() or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=HANG_S)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, err) == (130, "")
    assert "  stream          h264" in out


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is of Linux")
@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
def test_a_webcam_says_what_it_offers_and_is_asked_for_better(library: Path) -> None:
    environment = os.environ | {
        "LD_PRELOAD": str(library),
        "FAKE_CAMERA": "/dev/video77",
        "FAKE_CAMERA_FRAMES": str(library.parent / "frames"),
    }
    run = [sys.executable, "run.py", "doctor", "77", "--seconds", "1.5", "--set", "capture.fourcc=YUYV", *PATIENT]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  stream          YUYV 640x480 at 15 fps\n" in done.stdout
    assert "  offers          YUYV 640x480 at 15; MJPG 1280x720 at 30\n" in done.stdout
    config = parse(done.stdout.partition("to paste into a configuration:\n\n")[2])
    asked = config.cameras["camera77"].capture
    assert (asked.fourcc, asked.width, asked.height) == ("MJPG", 1280, 720)


ODD = [
    "clips/a b: c.mp4",
    "#1.mp4",
    "it's.mp4",
    'say "x".mp4',
    "- x.mp4",
    "/data/ä.mp4",
    "a${B}.mp4",
    "C:\\clips\\a.mp4",
]


@pytest.mark.parametrize("source", ODD)
def test_what_is_pasted_means_the_same_whatever_the_name(source: str) -> None:
    pasted = paste("door", source, source, Diagnosis((), {"transport": "udp"}))
    camera = parse(pasted).cameras["door"]
    assert isinstance(camera, Camera)
    assert (camera.source, camera.capture.transport) == (source, "udp")
