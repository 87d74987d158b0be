"""What the probe says of streams whose keyframes, B-frames, pace, pauses, clock and losses are known."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.capture.description import Description, describe
from pipeline.capture.probe import Measurement, probe
from pipeline.clock import SystemClock
from pipeline.config import Capture
from tests.servers.h264 import Clip, encode, street, write_file
from tests.servers.rtsp import RtspServer
from tests.servers.session import Session


def measured(address: str, seconds: float, **settings: object) -> Measurement:
    capture = Capture.model_validate({"open_timeout": 3, "start_timeout": 4, **settings})
    return probe(address, capture, seconds, SystemClock(), threading.Event())


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
        yield lambda body: futures[body.__name__].result(40)


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
        begun = time.monotonic()
        server.change = lambda number, units: () if 2 < time.monotonic() - begun < 3 else units
        for at, held in ((3.8, True), (4.6, False)):
            threading.Timer(at, setattr, (server, "held", held)).start()
        return measured(server.url("live"), 6)


@scenario
def slow_clock(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.stamp = lambda ticks: round(ticks * 0.99)
        return measured(server.url("live"), 6)


@scenario
def leaping_clock(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        begun = time.monotonic()
        server.stamp = lambda ticks: ticks + (90000 * 600 if time.monotonic() - begun > 2 else 0)
        return measured(server.url("live"), 4)


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
        threading.Timer(1.5, server.stop).start()
        return measured(server.url("live"), 6)


@scenario
def silent(clip: Clip, slow: Clip, trickle: str) -> Measurement:
    with RtspServer({"live": clip}) as server:
        server.stalled = True
        return measured(server.url("live"), 3, start_timeout=1.5)


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
    assert one.said == Description(
        "rtsp", 200, authentication="Digest", audio=("PCMU",), video=("H264",), fps=30, parameter_sets=True
    )
    assert (one.in_band, one.audio, one.corrupt, one.errors) == (True, ("PCMU",), 0, {})
    rhythm = one.rhythm
    assert rhythm.fps == pytest.approx(30, rel=0.2)
    assert rhythm.interval == pytest.approx(1 / 30, rel=0.01)
    assert (rhythm.keyframe_every, rhythm.keyframe_pictures) == (pytest.approx(0.5), 15)
    assert (rhythm.pauses, rhythm.jumps) == (0, 0)
    assert rhythm.drift_ppm == pytest.approx(0, abs=4000)
    bits = 8 * sum(len(unit) + 4 for units in clip.units for unit in units)
    assert rhythm.bitrate == pytest.approx(bits * 30 / len(clip.units), rel=0.3)
    assert one.open is not None
    assert one.first_picture is not None
    assert 0 < one.open < one.first_picture < 3
    assert 0 < one.decode.p50 <= one.decode.p95 < 200
    assert one.measured == pytest.approx(4, abs=0.5)


def test_rare_keyframes_and_missing_parameter_sets_are_seen(found: Found) -> None:
    one = found(sparing)
    assert one.rhythm.keyframe_every == pytest.approx(2.5)
    assert one.rhythm.keyframe_pictures == 25
    assert one.rhythm.fps == pytest.approx(10, rel=0.2)
    assert one.declared_fps == 25
    assert one.said is not None
    assert (one.said.parameter_sets, one.said.authentication, one.in_band) == (False, "Basic", True)


def test_a_pause_of_the_camera_and_one_of_the_network_are_told_apart(found: Found) -> None:
    rhythm = found(pausing).rhythm
    assert (rhythm.pauses, rhythm.not_made) == (2, 1)
    assert rhythm.longest_gap == pytest.approx(1, abs=0.25)
    assert rhythm.bursts >= 1
    assert rhythm.largest_burst >= 10
    assert rhythm.largest_lag == pytest.approx(0.8, abs=0.25)
    assert rhythm.lag < 0.3


def test_a_clock_that_runs_slow_or_leaps_is_measured(found: Found) -> None:
    slow, leapt = found(slow_clock).rhythm, found(leaping_clock).rhythm
    assert slow.drift_ppm == pytest.approx(10000, abs=3000)
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

    monkeypatch.setattr("tests.servers.rtsp.Session", UdpOnly)
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
    assert one.measured == pytest.approx(1.5, abs=0.7)
    assert one.rhythm.pictures > 10


def test_a_camera_that_sends_nothing_is_told_from_one_that_is_away(found: Found) -> None:
    one = found(silent)
    assert (one.reason, one.first_picture) == ("timed out", None)
    assert one.said is not None
    assert one.said.status == 200


def test_the_stop_ends_the_measuring_at_once(clip: Clip) -> None:
    stopping = threading.Event()
    with RtspServer({"live": clip}) as server:
        server.mute = {"PLAY"}
        threading.Timer(0.5, stopping.set).start()
        begun = time.monotonic()
        one = probe(server.url("live"), Capture(), 20, SystemClock(), stopping)
    assert time.monotonic() - begun < 2
    assert one.first_picture is None


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
    # A machine too slow to draw them all leaves some out, as a camera would; none comes early.
    assert one.rhythm.interval is not None
    assert 1 / 30.1 < one.rhythm.interval < 0.5
    assert one.rhythm.fps is not None
    assert one.still < 0.5 < found(frozen).still


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
    (b"HTTP/1.0 400 Bad Request\r\nServer: box\r\n\r\n", Description("http", 400, "box")),
    (b"SSH-2.0-OpenSSH_9.2\r\n", Description("other")),
    (b"", Description("mute")),
]


@pytest.mark.parametrize(("greeting", "said"), GREETINGS)
def test_a_port_that_speaks_something_else_is_recognised(greeting: bytes, said: Description) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            line, _ = server.accept()
            with line:
                line.recv(4096)
                line.sendall(greeting)

        thread = threading.Thread(target=speak)
        thread.start()
        found = describe(f"rtsp://u:p@127.0.0.1:{server.getsockname()[1]}/live", 1)
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
        found = [describe(address(server), 2) for address, _ in STATUSES]
        assert [each.status for each in found] == [status for _, status in STATUSES]
        assert {each.authentication for each in found} == {auth.capitalize()}
        server.status = {"DESCRIBE": "454 Session Not Found"}
        assert describe(server.url("live"), 2).status == 454
    assert describe(server.url("live"), 2) == Description()
    assert describe("rtsp://host:99999/", 1) == Description()
