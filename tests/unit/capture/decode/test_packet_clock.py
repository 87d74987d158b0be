"""Packets that come without times: a camera's are dated by their arrival, a file's by its known rate."""

from __future__ import annotations

import socket
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import pytest

from pipeline.capture.decode.packet_clock import PacketClock
from pipeline.capture.health.monitor import LiveHealthMonitor
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.clock import PROCESS, SystemClock
from pipeline.config.cameras import Capture
from pipeline.doctor.packet_probe import PacketProbe
from pipeline.frames import Packet
from pipeline.stats.camera import State
from tests.support.cameras import PATIENT, picture_of
from tests.support.clips import number_in, street
from tests.support.quarters import quarters
from tests.support.servers.untimed import UntimedServer

_BURST_S = 0.1
"""Pictures that come at once are dated one after the other, a little ahead of their time."""
JPEG = [cv2.imencode(".jpg", quarters())[1].tobytes()]


def raw(path: Path, encoder: str, count: int = 20, fps: int = 10, **options: str) -> Path:
    """A stream of pictures alone, which says how many come in a second."""
    with av.open(str(path), "w", format="hevc" if encoder == "libx265" else "h264") as made:
        rules = {"preset": "ultrafast", "x265-params": "log-level=none", **options}
        stream = made.add_stream(encoder, rate=fps, options=rules)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for picture in street(count, 320, 180):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        made.mux(stream.encode(None))
    return path


def accesses(path: Path) -> list[bytes]:
    """The pictures of such a stream, one by one."""
    with av.open(str(path)) as made:
        return [bytes(packet) for packet in made.demux(video=0) if packet.size]


def watched(source: FfmpegSource, server: UntimedServer, count: int = 8) -> list[tuple[float, float, float]]:
    """Of each picture its own time, and when it was asked for and there; judged live by its own monitor."""
    done = threading.Event()

    def send() -> None:
        while not done.wait(0.02):
            server.send()

    sender = threading.Thread(target=send)
    sender.start()
    health = LiveHealthMonitor(Capture())
    seen, begun = [], PROCESS.monotonic()
    try:
        source.open()
        assert source.live
        for _ in range(count):
            sample = source.read()
            assert picture_of(sample).width
            assert sample is not None
            assert sample.pts is not None
            seen.append((sample.pts, begun, PROCESS.monotonic()))
            assert health.judge(sample, sample.pts, PROCESS.monotonic())[0] is State.LIVE
    finally:
        done.set()
        sender.join()
        source.close()
    return seen


@pytest.mark.parametrize("kind", ["raw", "bare"])
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_pictures_alone_are_dated_by_their_arrival(tmp_path: Path, kind: str, encoder: str, b_frames: str) -> None:
    pictures = accesses(raw(tmp_path / "film", encoder, bf=b_frames, g="5"))
    packets: list[Packet] = []
    with UntimedServer(pictures, kind) as server:
        source = FfmpegSource(server.address, Capture.model_validate(PATIENT))
        source.tap = packets.append
        seen = watched(source, server)
    times = [at for at, *_ in seen]
    assert times == sorted(set(times))
    assert all(begun <= at <= now + _BURST_S for at, begun, now in seen)
    assert {packet.pts for packet in packets} >= set(times)


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        ("multipart", "image/jpeg"),
        ("multipart", "image/jpg"),
        ("multipart", "application/octet-stream"),
        ("multipart", None),
        ("raw", None),
        ("bare", None),
    ],
)
def test_jpeg_pictures_are_found_and_dated_whatever_is_said_of_them(kind: str, part: str | None) -> None:
    packets: list[Packet] = []
    with UntimedServer(JPEG, kind, part) as server:
        source = FfmpegSource(server.address, Capture.model_validate(PATIENT))
        source.tap = packets.append
        seen = watched(source, server)
    times = [at for at, *_ in seen]
    assert all(begun <= at <= now + _BURST_S for at, begun, now in seen)
    assert source.fps == 0
    assert [packet.pts for packet in packets] == times
    assert {packet.data for packet in packets} == set(JPEG)


def test_what_holds_no_picture_is_still_called_so(tmp_path: Path) -> None:
    with UntimedServer([b"<html>no camera here</html>" * 400], "raw") as server:
        server.send(40)
        source = FfmpegSource(server.address, Capture.model_validate({**PATIENT, "open_timeout": 1.0}))
        with pytest.raises(OSError, match=r"no video|no answer"):
            source.open()
        source.close()


def test_the_doctor_finds_no_fault_with_times_that_are_not_the_cameras(tmp_path: Path) -> None:
    with UntimedServer(JPEG, "multipart") as server:
        probe = PacketProbe(server.address, Capture.model_validate(PATIENT), threading.Event(), SystemClock())
        watched(probe, server)
    assert all(each.pts is not None and abs(each.at - each.pts) < 60 for each in probe.arrivals)


def test_udp_works_as_tcp_does(tmp_path: Path) -> None:
    pictures = accesses(raw(tmp_path / "film", "libx264", bf="0", g="1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.wait(0.02):
                for picture in pictures[:1]:
                    for at in range(0, len(picture), 1400):
                        sender.sendto(picture[at : at + 1400], ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    source = FfmpegSource(f"udp://127.0.0.1:{port}", Capture.model_validate(PATIENT))
    begun = PROCESS.monotonic()
    try:
        source.open()
        times = []
        for _ in range(6):
            sample = source.read()
            assert sample is not None
            times.append(sample.pts or 0.0)
    finally:
        stop.set()
        thread.join()
        source.close()
    assert begun <= times[0]
    assert times == sorted(set(times))
    assert times[-1] <= PROCESS.monotonic()


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("b_frames", ["0", "2"])
@pytest.mark.parametrize("fps", [10, 25, 50])
def test_a_file_without_times_has_its_rate(tmp_path: Path, encoder: str, b_frames: str, fps: int) -> None:
    path = raw(tmp_path / "film", encoder, fps=fps, bf=b_frames)
    packets: list[Packet] = []
    source = FfmpegSource(str(path), Capture())
    source.tap = packets.append
    source.open()
    assert source.fps == fps
    found = []
    while (sample := source.read()) is not None:
        found.append((sample.pts, number_in(picture_of(sample).bgr())))
    source.close()
    assert found == [(pytest.approx(number / fps, abs=1e-5), number) for number in range(20)]
    assert sorted(packet.pts or 0.0 for packet in packets) == pytest.approx([number / fps for number in range(20)])


def test_pictures_in_between_without_a_time_get_one(tmp_path: Path) -> None:
    clock = PacketClock(None, 10.0, live=False)
    packet = av.Packet(b"data")
    packet.time_base = Fraction(1, 90_000)
    times = []
    for ticks in (9000, None, None, 45_000):
        packet.pts = packet.dts = ticks
        clock.stamp(packet, 500.0)
        assert packet.pts is not None
        times.append(packet.pts)
    assert times == [9000, 18_000, 27_000, 45_000]
