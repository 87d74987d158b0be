"""RTSP from a real server: both transports, both logins, and every way to fail, in time and without a secret."""

from __future__ import annotations

import base64
import contextlib
import http.server
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pytest

from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.capture.sources.ffmpeg_errors import REFUSED
from pipeline.config.cameras import Capture
from pipeline.errors import SourceError
from pipeline.frames import Image, Packet
from tests.support.cameras import picture_of
from tests.support.clips import Clip, encode, number_in, street, write_file
from tests.support.servers.rtsp import RtspServer

SECRET = "c@n:a/r#y%20"
LIMIT_S = 60.0
"""What every limit of time is that a test does not set: whatever ends before it was not ended by it."""


def patient(**settings: object) -> Capture:
    """Settings with limits that no slow machine reaches, but for those given."""
    limits = ("open_timeout", "read_timeout", "start_timeout", "stall_timeout")
    return Capture.model_validate(dict.fromkeys(limits, LIMIT_S) | settings)


def failure(url: str, **settings: object) -> tuple[SourceError, float]:
    """What opening and reading ends in, and how long it took."""
    source = FfmpegSource(url, patient(**settings))
    begun = time.monotonic()
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    return caught.value, time.monotonic() - begun


def drained(source: FfmpegSource) -> tuple[SourceError, float]:
    """What reading ends in, and how long after the last good picture was asked for."""
    last = time.monotonic()
    try:
        while True:
            asked = time.monotonic()
            sample = source.read()
            if sample is not None and not sample.damaged:
                last = asked
    except SourceError as error:
        return error, time.monotonic() - last
    finally:
        source.close()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_pictures_come_in_order_over_both_transports_and_logins(
    clip: Clip, transport: str, auth: Literal["basic", "digest"]
) -> None:
    with RtspServer({"live": clip}, user="cam", password=SECRET, auth=auth) as server:
        source = FfmpegSource(server.url("live"), patient(transport=transport))
        source.open()
        assert source.live
        assert not source.local
        assert source.description == f"h264 640x360 over {transport}"
        numbers, times = [], []
        for _ in range(15):
            sample = source.read()
            assert sample is not None
            assert sample.pts is not None
            numbers.append(number_in(picture_of(sample).bgr()))
            times.append(sample.pts)
        source.close()
        assert server.transports == [transport]
    assert set(np.diff(numbers) % 60) == {1}
    assert np.diff(times) == pytest.approx(1 / 30, abs=2e-3)


def test_a_description_without_parameter_sets_is_read_all_the_same(clip: Clip) -> None:
    with RtspServer({"live": clip}, parameter_sets=False) as server:
        source = FfmpegSource(server.url("live"), patient())
        source.open()
        assert source.description == "h264 640x360 over tcp"
        assert source.read() is not None
        source.close()


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_a_wrong_password_is_said_without_the_password(clip: Clip, auth: Literal["basic", "digest"]) -> None:
    wrong = "not-" + SECRET
    with RtspServer({"live": clip}, user="cam", password=SECRET, auth=auth) as server:
        error, took = failure(server.url("live", password=wrong))
        assert str(error) == f"rtsp://***@127.0.0.1:{server.port}/live: {REFUSED}"
    assert error.reason == "unauthorized"
    assert took < LIMIT_S
    said = "".join(traceback.format_exception(error))
    for form in (wrong, "c%40n", base64.b64encode(f"cam:{wrong}".encode()).decode()):
        assert form not in said


def test_no_login_where_one_is_needed_is_unauthorized(clip: Clip) -> None:
    with RtspServer({"live": clip}, user="cam", password=SECRET) as server:
        assert failure(server.url("live", user=""))[0].reason == "unauthorized"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("403 Forbidden", "unauthorized"),
        ("404 Not Found", "not found"),
        ("461 Unsupported Transport", "unsupported"),
        ("500 Internal Server Error", "unreadable"),
    ],
)
@pytest.mark.parametrize("verb", ["DESCRIBE", "SETUP", "PLAY"])
def test_a_refusal_at_any_verb_has_its_reason(server: RtspServer, verb: str, status: str, reason: str) -> None:
    server.status = {verb: status}
    error, took = failure(server.url("live"))
    assert error.reason == reason
    assert took < LIMIT_S


def test_an_unknown_path_is_not_found(server: RtspServer) -> None:
    error, _ = failure(server.url("cellar"))
    assert error.reason == "not found"
    assert str(error).endswith("there is no such stream; check the path in the address")


def test_a_closed_port_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error, took = failure(f"rtsp://cam:secret@127.0.0.1:{port}/live")
    assert error.reason == "refused"
    assert "secret" not in str(error)
    assert took < LIMIT_S


def test_a_password_that_breaks_the_address_is_explained_and_not_shown() -> None:
    error, _ = failure(f"rtsp://cam:{SECRET}@127.0.0.1:1/live")
    assert str(error) == (
        "rtsp://***@127.0.0.1:1/live: it cannot be understood; "
        "in a password write @ : / ? # % as %40 %3A %2F %3F %23 %25"
    )


@pytest.mark.parametrize("verb", ["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
def test_opening_is_bounded_in_all_where_no_answer_comes(server: RtspServer, verb: str) -> None:
    server.mute = {verb}
    error, took = failure(server.url("live"), open_timeout=0.6)
    assert str(error).endswith("no answer within 0.6 s")
    assert error.reason == "timed out"
    assert 0.6 <= took < LIMIT_S


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_silence_in_mid_stream_ends_at_the_read_timeout(server: RtspServer, transport: str) -> None:
    source = FfmpegSource(server.url("live"), patient(transport=transport, read_timeout=0.7))
    source.open()
    begun = time.monotonic()
    source.read()
    server.stalled = True
    error, _ = drained(source)
    assert error.reason == "timed out"
    assert 0.7 <= time.monotonic() - begun < LIMIT_S


def test_packets_that_never_become_pictures_are_silence_too(server: RtspServer) -> None:
    source = FfmpegSource(server.url("live"), patient(stall_timeout=1))
    source.open()
    source.read()
    server.change = lambda number, units: tuple(unit[:1] + bytes(len(unit) - 1) for unit in units)
    error, silent = drained(source)
    assert error.reason == "timed out"
    assert 1 <= silent < LIMIT_S
    assert source.corrupt > 0
    server.change = lambda number, units: units
    source.open()
    assert source.read() is not None
    source.close()


def test_slow_answers_share_one_limit_for_the_whole_opening(server: RtspServer) -> None:
    # Each answer is within the limit, but not both.
    server.delay = {"OPTIONS": 1.1, "DESCRIBE": 1.1}
    error, took = failure(server.url("live"), open_timeout=1.2)
    assert error.reason == "timed out"
    assert took >= 1.2
    assert "SETUP" not in server.verbs


def test_the_first_picture_may_wait_longer_than_a_later_one(server: RtspServer) -> None:
    sending = "no keyframe"

    def late_keyframe(number: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
        return units if sending == "all" or (sending == "no keyframe" and len(units) == 1) else ()

    server.change = late_keyframe
    source = FfmpegSource(server.url("live"), patient(read_timeout=0.5))
    source.open()
    sending = "nothing"
    silent = threading.Event()

    def end_the_silence() -> None:
        nonlocal sending
        silent.wait(1.2)
        sending = "all"

    waiting = threading.Thread(target=end_the_silence)
    waiting.start()
    assert source.read() is not None
    assert sending == "all"
    waiting.join()
    source.close()


def test_a_connection_that_is_cut_is_a_fault_and_no_end(server: RtspServer) -> None:
    source = FfmpegSource(server.url("live"), patient())
    source.open()
    source.read()
    server.cut()
    error, silent = drained(source)
    assert error.reason == "ended"
    assert silent < LIMIT_S


def test_a_new_size_in_mid_stream_is_passed_on(server: RtspServer) -> None:
    small = encode(street(60, 320, 240), 30, 15)
    switched, begun = threading.Event(), threading.Event()

    def change(number: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
        if switched.is_set() and number % 15 == 0:
            begun.set()
        return small.units[number] if begun.is_set() else units

    server.change = change
    source = FfmpegSource(server.url("live"), patient())
    source.open()
    sizes: list[tuple[int, int]] = []
    while not sizes or (sizes[-1] == (640, 360) and len(sizes) < 120):
        sample = source.read()
        assert sample is not None
        sizes.append((picture_of(sample).width, picture_of(sample).height))
        switched.set()
    source.close()
    assert (sizes[0], sizes[-1]) == ((640, 360), (320, 240))


def test_the_stop_ends_a_blocked_opening_and_a_blocked_read(server: RtspServer) -> None:
    for verb in ("DESCRIBE", ""):
        server.mute = {verb}
        stopping = threading.Event()
        source = FfmpegSource(server.url("live"), patient(), stopping)
        if not verb:
            source.open()
            source.read()
            server.stalled = True
        timer = threading.Timer(0.3, stopping.set)
        timer.start()
        begun = time.monotonic()
        if verb:
            with pytest.raises(SourceError):
                source.open()
        else:
            drained(source)
        assert time.monotonic() - begun < LIMIT_S
        timer.join()


def test_a_name_nobody_knows_is_said_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = threading.Event()

    def slow(*anything: object) -> list[object]:
        waiting.wait(LIMIT_S)
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    error, took = failure("rtsp://camera.invalid/live", open_timeout=0.5)
    assert took < LIMIT_S
    waiting.set()
    assert str(error) == "rtsp://camera.invalid/live: the name camera.invalid could not be looked up in time"
    error, _ = failure("rtsp://camera.invalid/live")
    assert str(error) == "rtsp://camera.invalid/live: no machine is called camera.invalid"
    assert error.reason == "not found"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server for a folder, which also plays motion JPEG at /mjpeg."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith(("/live/", "/slow/")):
                return self.go_on()
            if self.path != "/mjpeg":
                return super().do_GET()
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for picture in street(30):
                data = cv2.imencode(".jpg", picture)[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(0.02)
            return None

        def go_on(self) -> None:
            """Send a file without saying how long it is: all of it, or a bit again and again until nobody listens."""
            self.send_response(200)
            self.end_headers()
            data = Path(str(tmp_path), self.path.partition("?")[0].split("/")[-1]).read_bytes()
            if self.path.startswith("/live/"):
                self.wfile.write(data)
                return
            with contextlib.suppress(OSError):
                for at in range(0, len(data), 188):
                    self.wfile.write(data[at : at + 188])
                    time.sleep(0.05)

        def log_message(self, *anything: object) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listener.server_port}"
    listener.shutdown()
    listener.server_close()
    thread.join()


def test_motion_jpeg_is_live(web: str) -> None:
    source = FfmpegSource(f"{web}/mjpeg", patient())
    source.open()
    assert source.live
    for number in range(30):
        sample = source.read()
        assert sample is not None
        assert number_in(picture_of(sample).bgr()) == number
    error, _ = drained(source)
    assert (error.reason, str(error)) == ("ended", f"{web}/mjpeg: the stream broke off")


@pytest.mark.parametrize(("quality", "size"), [("best", (320, 240)), ("smallest", (160, 96))])
def test_of_several_qualities_the_one_that_is_asked_for_is_fetched(
    web: str, tmp_path: Path, quality: str, size: tuple[int, int]
) -> None:
    lines = ["#EXTM3U"]
    for width, height in ((160, 96), (320, 240)):
        write_file(tmp_path / f"{width}.ts", street(30, width, height), 30, bf="0")
        segment = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\n{width}.ts\n#EXT-X-ENDLIST\n"
        (tmp_path / f"{width}.m3u8").write_text(segment)
        lines += [f"#EXT-X-STREAM-INF:BANDWIDTH={width}000,RESOLUTION={width}x{height}", f"{width}.m3u8"]
    (tmp_path / "all.m3u8").write_text("\n".join(lines) + "\n")
    source = FfmpegSource(f"{web}/all.m3u8", patient(quality=quality))
    source.open()
    count = 0
    while (sample := source.read()) is not None:
        assert (picture_of(sample).width, picture_of(sample).height) == size
        count += 1
    source.close()
    assert count == 30


def test_a_finished_file_over_http_ends_as_a_file(web: str, tmp_path: Path) -> None:
    write_file(tmp_path / "street.mkv", street(60))
    source = FfmpegSource(f"{web}/street.mkv?token=abcdefgh", patient())
    source.open()
    assert not source.live
    count = 0
    while source.read() is not None:
        count += 1
    source.close()
    assert count == 60
    error, _ = failure(f"{web}/other.mp4?token=abcdefgh")
    assert error.reason == "not found"
    assert "abcdefgh" not in str(error)


@pytest.mark.parametrize("name", ["cam.ts", "stream.mp4?src=door", "cam.flv", "cam.mkv", "cam.mjpeg"])
def test_a_stream_of_no_known_length_is_live_whatever_it_is_called(web: str, tmp_path: Path, name: str) -> None:
    path = tmp_path / name.partition("?")[0]
    clip = street(30)
    if path.suffix == ".mjpeg":
        path.write_bytes(b"".join(cv2.imencode(".jpg", each)[1].tobytes() for each in clip))
    else:
        options = {"movflags": "frag_keyframe+empty_moov"} if path.suffix == ".mp4" else {}
        with av.open(str(path), "w", options=options) as made:
            stream = made.add_stream("libx264", rate=30, options={"g": "10", "preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
            for picture in clip:
                made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
            made.mux(stream.encode(None))
    if path.suffix in (".ts", ".mp4", ".mjpeg"):
        source = FfmpegSource(f"{web}/live/{name}", patient())
        source.open()
        assert source.live
        assert drained(source)[0].reason == "ended"
    source = FfmpegSource(f"{web}/{name}", patient())
    source.open()
    # One picture alone would be asked for again, so that only the second one tells.
    assert source.live is (path.suffix == ".mjpeg")
    while source.read() is not None:
        pass
    source.close()


def test_an_opening_that_its_limit_cuts_off_has_failed_in_one_line(web: str, tmp_path: Path) -> None:
    write_file(tmp_path / "cam.ts", street(60))
    error, _ = failure(f"{web}/slow/cam.ts", open_timeout=0.5)
    assert (error.reason, str(error)) == ("timed out", f"{web}/slow/cam.ts: no answer within 0.5 s")


def test_a_finished_playlist_ends_and_a_growing_one_is_live(web: str, tmp_path: Path) -> None:
    with av.open(
        str(tmp_path / "street.m3u8"), "w", format="hls", options={"hls_time": "1", "hls_list_size": "0"}
    ) as made:
        stream = made.add_stream("libx264", rate=30, options={"g": "30", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for picture in street(60):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        made.mux(stream.encode(None))
    source = FfmpegSource(f"{web}/street.m3u8", patient())
    source.open()
    assert not source.live
    count = 0
    while source.read() is not None:
        count += 1
    assert count == 60
    playlist = tmp_path / "street.m3u8"
    playlist.write_text(playlist.read_text().replace("#EXT-X-ENDLIST", ""))
    source = FfmpegSource(f"{web}/street.m3u8", patient(read_timeout=0.3, stall_timeout=0.3, start_timeout=1))
    source.open()
    assert source.live
    error, silent = drained(source)
    assert error.reason == "timed out"
    assert silent >= 1


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_an_address_that_gives_one_picture_is_asked_again_and_again(web: str, tmp_path: Path, ending: str) -> None:
    def put(picture: Image) -> None:
        (tmp_path / f"new{ending}").write_bytes(cv2.imencode(ending, picture)[1].tobytes())
        (tmp_path / f"new{ending}").replace(tmp_path / f"snapshot{ending}")

    pictures = list(street(4))
    put(pictures[0])
    source = FfmpegSource(f"{web}/snapshot{ending}", patient(fps=50))
    packets: list[Packet] = []
    source.tap = packets.append
    source.open()
    times = []
    for number, picture in enumerate(pictures):
        put(picture)
        sample = source.read()
        while number_in(picture_of(sample).bgr()) != number:
            sample = source.read()
        assert sample is not None
        times.append(sample.pts or 0.0)
    (tmp_path / f"snapshot{ending}").unlink()
    error, _ = drained(source)
    assert error.reason == "not found"
    assert source.live
    assert times == sorted(set(times))
    assert len(packets) >= 4
