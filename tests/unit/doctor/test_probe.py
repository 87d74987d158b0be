"""What the probe says of streams whose keyframes, B-frames, pace, pauses, clock and losses are known."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.capture.source import Sample
from pipeline.clock import SystemClock
from pipeline.config.cameras import Capture
from pipeline.doctor.probe import Measurement, probe
from pipeline.doctor.rtsp_describe import RtspDescription, describe
from tests.support.clips import Clip, encode, street, write_file
from tests.support.clock import ManualClock
from tests.support.servers.rtsp import RtspServer
from tests.support.servers.session import Session
from tests.support.servers.stream_time import StreamTime, heard
from tests.support.wait import HANG_S, until


@pytest.fixture(scope="module", autouse=True)
def listening() -> Iterator[None]:
    with heard():
        yield


def measured(
    address: str, seconds: float, *, due: Callable[[float], float] = lambda at: at, **settings: object
) -> Measurement:
    """What the probe says of a source whose pictures come when they are due."""
    capture = Capture.model_validate({"open_timeout": HANG_S, "start_timeout": HANG_S, **settings})
    clock = ManualClock() if address.endswith("demo") else StreamTime(due)
    return probe(address, capture, seconds, clock, threading.Event())


@pytest.fixture(scope="session")
def slow_clip() -> Clip:
    """Ten pictures a second, a keyframe every 25."""
    return encode(street(50, 320, 180), 10, 25)


@pytest.fixture(scope="module")
def trickle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a live MPEG-TS stream with two B-frames between others, over HTTP."""
    options = {"preset": "veryfast", "x264-params": "bframes=2:b-adapt=0:b-pyramid=0:keyint=30:scenecut=0"}
    data = write_file(tmp_path_factory.mktemp("ts") / "b.ts", street(150, 320, 180), 30, **options).read_bytes()

    class Trickle(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "video/mp2t")
            self.end_headers()
            pieces = 200
            begun = time.monotonic()
            size = -(-len(data) // pieces)
            try:
                for number in range(pieces):
                    self.wfile.write(data[number * size : (number + 1) * size])
                    time.sleep(max(0.0, begun + number * 5 / pieces - time.monotonic()))
            except OSError:
                return

        def log_message(self, *words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trickle)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/live"
    server.shutdown()
    server.server_close()
    thread.join()


Scenario = Callable[[Clip, Clip, str], Measurement]
SCENARIOS: dict[str, Scenario] = {}


def scenario(body: Scenario) -> Scenario:
    """All scenarios are played at once, because each takes its seconds."""
    SCENARIOS[body.__name__] = body
    return body


@pytest.fixture(scope="module")
def found(clip: Clip, slow_clip: Clip, trickle: str) -> Iterator[Callable[[Scenario], Measurement]]:
    """What was measured in a scenario."""
    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        futures = {name: pool.submit(body, clip, slow_clip, trickle) for name, body in SCENARIOS.items()}
        yield lambda body: futures[body.__name__].result(2 * HANG_S)


@scenario
def good(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}, user="cam", password="p@/:w") as server:
        server.media = ("video", "audio")
        return measured(server.url("live"), 4)


@scenario
def sparing(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": slow}, parameter_sets=False, auth="basic", user="a", password="b") as server:
        server.frame_rate = "25"
        return measured(server.url("live"), 6)


@scenario
def pausing(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        sent = count()
        server.change = lambda number, units: () if 75 <= next(sent) < 105 else units
        return measured(server.url("live"), 6.5, due=lambda at: 5.1 if 4.3 < at < 5.1 else at)


@scenario
def slow_clock(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.stamp = lambda ticks: round(ticks * 0.99)
        return measured(server.url("live"), 6, due=lambda at: at / 0.99)


@scenario
def leaping_clock(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        first: list[int] = []

        def leaping(ticks: int) -> int:
            first.append(ticks)
            return ticks + (90000 * 600 if ticks - first[0] > 90000 * 2 else 0)

        server.stamp = leaping
        return measured(server.url("live"), 4, due=lambda at: at if at < 300 else at - 600)


@scenario
def losing_udp(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.lost = lambda sequence: sequence % 151 == 0
        return measured(server.url("live"), 5, transport="udp")


@scenario
def losing_tcp(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.lost = lambda sequence: sequence % 151 == 0
        return measured(server.url("live"), 5)


@scenario
def spoilt(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.lost = lambda sequence: sequence % 5 == 0
        return measured(server.url("live"), 2)


@scenario
def breaking(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        stop, sent = threading.Thread(target=server.stop), count()

        def change(number: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
            if next(sent) == 60:
                stop.start()
            return units

        server.change = change
        one = measured(server.url("live"), 6)
        stop.join()
        return one


@scenario
def silent(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.stalled = True
        return measured(server.url("live"), 3, open_timeout=3, start_timeout=1.5)


@scenario
def b_frames(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    return measured(trickle, 3)


@scenario
def drawn(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    return measured("demo", 2)


@scenario
def frozen(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    return measured("fault:freeze@0.3:demo", 3)


Found = Callable[[Scenario], Measurement]


def test_a_good_camera_is_described_in_all_its_numbers(found: Found, clip: Clip) -> None:
    one = found(good)
    assert (one.error, one.live, one.kind) == ("", True, "network")
    assert one.transports == {"tcp": "works", "udp": "works"}
    assert (one.codec, one.profile, one.level) == ("h264", "Constrained Baseline", "3.0")
    assert (one.width, one.height, one.pixel_format) == (640, 360, "yuv420p")
    assert (one.declared_fps, one.b_frames, one.reorder) == (30, 0, 0)
    assert one.said == RtspDescription(
        "rtsp", 200, authentication="Digest", audio=("PCMU",), video=("H264",), fps=30, parameter_sets=True
    )
    assert (one.in_band, one.audio, one.corrupt, one.errors) == (True, ("PCMU",), 0, {})
    rhythm = one.rhythm
    assert rhythm.fps == pytest.approx(30, rel=0.01)
    assert rhythm.interval == pytest.approx(1 / 30, rel=0.01)
    assert (rhythm.keyframe_every, rhythm.keyframe_pictures) == (pytest.approx(0.5), 15)
    assert (rhythm.pauses, rhythm.jumps) == (0, 0)
    assert rhythm.drift_ppm == pytest.approx(0, abs=100)
    bits = 8 * sum(len(unit) + 4 for units in clip.units for unit in units)
    assert rhythm.bitrate == pytest.approx(bits * 30 / len(clip.units), rel=0.3)
    assert one.open is not None
    assert one.first_picture is not None
    assert 0 < one.open < one.first_picture
    assert 0 < one.decode.p50 <= one.decode.p95
    assert one.decode.count > 100
    assert one.measured == pytest.approx(4, abs=0.1)


def test_rare_keyframes_and_missing_parameter_sets_are_seen(found: Found) -> None:
    one = found(sparing)
    assert one.rhythm.keyframe_every == pytest.approx(2.5)
    assert one.rhythm.keyframe_pictures == 25
    assert one.rhythm.fps == pytest.approx(10, rel=0.01)
    assert one.declared_fps == 25
    assert one.said is not None
    assert (one.said.parameter_sets, one.said.authentication, one.in_band) == (False, "Basic", True)


def test_a_pause_of_the_camera_and_one_of_the_network_are_told_apart(found: Found) -> None:
    rhythm = found(pausing).rhythm
    assert (rhythm.pauses, rhythm.not_made) == (2, 1)
    assert rhythm.longest_gap == pytest.approx(1, abs=0.1)
    assert rhythm.bursts == 1
    assert rhythm.largest_burst == pytest.approx(24, abs=2)
    assert rhythm.largest_lag == pytest.approx(0.8, abs=0.1)
    assert rhythm.lag < 0.01


def test_a_clock_that_runs_slow_or_leaps_is_measured(found: Found) -> None:
    slow, leapt = found(slow_clock).rhythm, found(leaping_clock).rhythm
    assert slow.drift_ppm == pytest.approx(10101, abs=300)
    assert (slow.jumps, leapt.jumps) == (0, 1)


def test_lost_packets_are_counted_over_udp_and_over_tcp(found: Found) -> None:
    for one in (found(losing_udp), found(losing_tcp)):
        assert set(one.transports) == {"udp", "tcp"}
        assert one.errors["lost packets"] >= 3
        assert one.corrupt >= 3
        assert one.first_picture is not None


def test_a_stream_of_which_every_picture_is_damaged_gives_none(found: Found) -> None:
    one = found(spoilt)
    assert one.first_picture is None
    assert one.corrupt > 10
    assert one.transports["tcp"] == "damaged"


def test_a_camera_of_udp_alone_is_read_over_udp(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    class UdpOnly(Session):
        async def _answer(self, verb: str, url: str, fields: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
            if verb == "SETUP" and "TCP" in fields["transport"]:
                return "461 Unsupported Transport", {}, b""
            return await super()._answer(verb, url, fields)

    monkeypatch.setattr("tests.support.servers.rtsp.Session", UdpOnly)
    with RtspServer({"live": clip}) as server:
        one = measured(server.url("live"), 1.5)
    assert one.transports == {"tcp": "unsupported", "udp": "works"}
    assert (one.transport, one.error, one.width) == ("udp", "", 640)


def test_a_password_may_stand_in_the_address_as_it_is(clip: Clip) -> None:
    with RtspServer({"live": clip}, user="cam", password="p/a#s?s w") as server:
        one = measured(f"rtsp://cam:p/a#s?s w@127.0.0.1:{server.port}/live", 1)
    assert (one.error, one.width) == ("", 640)


def test_a_stream_that_breaks_off_keeps_what_was_measured(found: Found) -> None:
    one = found(breaking)
    assert one.reason == "ended"
    assert one.width == 640
    assert one.rhythm.pictures > 10
    # What came before the first keyframe is no picture yet.
    assert (one.rhythm.pictures - 16) / 30 < one.measured < one.rhythm.pictures / 30


def test_a_camera_that_sends_nothing_is_told_from_one_that_is_away(found: Found) -> None:
    one = found(silent)
    assert (one.reason, one.first_picture) == ("timed out", None)
    assert one.said is not None
    assert one.said.status == 200


def test_the_stop_ends_the_measuring_long_before_its_limits(clip: Clip) -> None:
    stopping = threading.Event()
    with RtspServer({"live": clip}) as server, ThreadPoolExecutor(1) as pool:
        server.mute = {"PLAY"}
        capture = Capture(open_timeout=2 * HANG_S)
        probing = pool.submit(probe, server.url("live"), capture, 20, SystemClock(), stopping)
        assert until(lambda: "PLAY" in server.verbs)
        stopping.set()
        assert probing.result(HANG_S).first_picture is None


class Slow:
    """A source whose opening takes 30 s and whose first picture another 20 s; then thirty come each second."""

    live, local, fps, description = True, True, 30.0, "slow"
    gives_packets = False
    tap = wanted = None

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._read = 0

    def open(self) -> None:
        self._clock.advance(30)

    def read(self) -> Sample:
        self._clock.advance(1 / 30 if self._read else 20)
        self._read += 1
        return Sample(ArrayPicture(np.zeros((36, 64, 3), np.uint8)), self._read / 30, 0.001)

    def close(self) -> None: ...


def test_a_slow_start_does_not_use_up_the_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shares = ManualClock(), []
    monkeypatch.setattr("pipeline.doctor.probe.open_source", lambda *given: Slow(clock))
    noted = lambda share, doing: shares.append((share, doing))  # noqa: E731
    one = probe("demo", Capture(), 2, clock, threading.Event(), noted)
    assert (one.error, one.open, one.first_picture) == ("", pytest.approx(30), pytest.approx(50))
    assert one.measured == pytest.approx(2, abs=0.05)
    assert one.rhythm.pictures == pytest.approx(60, abs=2)
    assert [doing for share, doing in shares if not share] == ["opening", "measuring"]
    assert max(shares) == (pytest.approx(1, abs=0.05), "measuring")


def test_a_source_of_damaged_pictures_alone_is_measured_for_its_time() -> None:
    one = measured("fault:corrupt:demo", 2)
    assert one.first_picture is None
    assert one.corrupt == pytest.approx(60, abs=2)
    assert one.measured == 0


def test_b_frames_of_a_live_stream_are_counted(found: Found) -> None:
    one = found(b_frames)
    assert one.live
    assert one.reorder in (1, 2)
    assert one.b_frames / one.rhythm.pictures == pytest.approx(2 / 3, abs=0.1)
    assert one.rhythm.interval == pytest.approx(1 / 30, rel=0.02)
    assert (one.profile, one.rhythm.keyframe_every) == ("High", pytest.approx(1, rel=0.02))
    assert one.transports == {}


def test_the_demo_and_a_frozen_one_are_measured_without_packets(found: Found) -> None:
    one = found(drawn)
    assert (one.width, one.codec, one.transports) == (1280, "", {})
    assert one.rhythm.interval == pytest.approx(1 / 30)
    assert one.rhythm.fps == pytest.approx(30)
    assert one.still < 0.5
    assert found(frozen).still == pytest.approx(2.7, abs=0.3)


def test_a_file_is_measured_by_its_own_times(video: Path) -> None:
    one = measured(str(video), 5)
    assert (one.live, one.kind, one.error) == (False, "file", "")
    assert (one.codec, one.declared_fps, one.rhythm.fps) == ("h264", 30, pytest.approx(30))
    assert (one.rhythm.pictures, one.rhythm.keyframe_pictures) == (60, 20)
    assert one.b_frames > 10


@pytest.mark.parametrize(("address", "reason"), [("nosuch.mp4", "not found"), ("fault:refuse:demo", "refused")])
def test_what_cannot_be_opened_is_an_answer_too(address: str, reason: str) -> None:
    one = measured(address, 2)
    assert (one.reason, one.first_picture) == (reason, None)


GREETINGS = [
    (b"HTTP/1.0 400 Bad Request\r\nServer: box\r\n\r\n", RtspDescription("http", 400, "box")),
    (b"SSH-2.0-OpenSSH_9.2\r\n", RtspDescription("other")),
    (b"", RtspDescription("mute")),
]


@pytest.mark.parametrize(("greeting", "said"), GREETINGS)
def test_a_port_that_speaks_something_else_is_recognised(greeting: bytes, said: RtspDescription) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            line, _ = server.accept()
            with line:
                line.recv(4096)
                line.sendall(greeting)

        thread = threading.Thread(target=speak)
        thread.start()
        found = describe(f"rtsp://u:p@127.0.0.1:{server.getsockname()[1]}/live", HANG_S)
        thread.join()
    assert found == said


Status = Callable[[RtspServer], str]
STATUSES: list[tuple[Status, int]] = [
    (lambda server: server.url("live"), 200),
    (lambda server: server.url("live", password="wrong"), 401),
    (lambda server: server.url("live", user=""), 401),
    (lambda server: server.url("other"), 404),
]


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_every_login_is_answered_with_its_status(clip: Clip, auth: str) -> None:
    with RtspServer({"live": clip}, user="cäm", password="p@/:w%#", auth=auth) as server:  # type: ignore[arg-type]
        found = [describe(address(server), HANG_S) for address, _ in STATUSES]
        assert [each.status for each in found] == [status for _, status in STATUSES]
        assert {each.authentication for each in found} == {auth.capitalize()}
        server.status = {"DESCRIBE": "454 Session Not Found"}
        assert describe(server.url("live"), HANG_S).status == 454
    assert describe(server.url("live"), 2) == RtspDescription()
    assert describe("rtsp://host:99999/", 1) == RtspDescription()


def answering(reply: bytes) -> RtspDescription:
    """What is understood of a device that answers DESCRIBE with these bytes, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as device:

        def answer() -> None:
            for _ in range(2):
                try:
                    line, _ = server.accept()
                except OSError:
                    return
                with line:
                    line.recv(4096)
                    line.sendall(reply)

        answered = device.submit(answer)
        try:
            return describe(f"rtsp://u:p@127.0.0.1:{server.getsockname()[1]}/live", HANG_S)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            answered.result(HANG_S)


def reply(sdp: str, server: str = "Cam", status: str = "200 OK", more: str = "") -> bytes:
    body = sdp.replace("\n", "\r\n").encode("utf-8", "surrogateescape")
    head = f"RTSP/1.0 {status}\r\nCSeq: 1\r\nServer: {server}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("utf-8", "surrogateescape") + body


SDP = "v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\na=framerate:25\nm=audio 0 RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"


def test_what_a_device_calls_itself_and_its_codecs_cannot_command_the_terminal() -> None:
    hostile = SDP.replace("H264", "\x1b]0;owned\x07H\x1b[2J264").replace("PCMU", "\x9b31mPC\x08MU" + "x" * 900)
    found = answering(reply(hostile, server="\x1b[31mCam\x1b]52;c;aGk=\x07\x00"))
    assert (found.status, found.video, found.server) == (200, ("H264",), "Cam?")
    assert found.audio[0].startswith("PC?MUxxx")
    assert len(found.audio[0]) <= 60
    assert answering(reply(SDP.replace("a=framerate:25", f"a=framerate:{'9' * 400}"))).fps == 0.0
