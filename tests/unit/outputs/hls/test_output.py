"""HLS as players get it: read by others, made only while somebody watches, closed to those who may not."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from pipeline.clock import SystemClock
from pipeline.draw.primitives import colour
from pipeline.frames import Packet, Presentation
from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.redaction import scrub
from pipeline.stats.camera import State
from pipeline.web import limits
from tests.support import marked
from tests.support.airing import HEIGHT, WIDTH, Airing, decoded, fetched, numbers, parts, segments, value
from tests.support.clips import Clip, encode
from tests.support.scenes import share
from tests.support.serving import TOKEN, Start
from tests.support.wait import HANG_S, until

HLS = os.environ.get("LOOKOUT_HLSJS", "")


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Four seconds of numbered pictures, a keyframe each second."""
    return encode(marked.pictures(120, WIDTH, HEIGHT), 30, 30)


@pytest.fixture
def air(crew: Start, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Airing]]:
    monkeypatch.setattr("pipeline.outputs.hls.output._POLL_INTERVAL_S", 0.0)
    made: list[Airing] = []

    def start(*cameras: str, **settings: Any) -> Airing:
        made.append(Airing(crew, cameras or ("door",), **settings))
        return made[-1]

    yield start
    for each in made:
        each.close()


def told(served: Airing) -> str:
    """The state of the one stream."""
    return served.stats.told().get("hls", {}).get("door", "")


def test_players_get_every_picture_with_its_boxes(air: Callable[..., Airing], tmp_path: Path) -> None:
    served = air(token=None)
    served.burst(150)
    status, headers, index = served.ask("/hls/door/index.m3u8")
    assert (status, headers["content-type"]) == (200, "application/vnd.apple.mpegurl")
    assert re.search(rb'CODECS="avc1\.64[0-9A-F]{4}",RESOLUTION=320x180\nlive\.m3u8\n', index)
    path = tmp_path / "all.mp4"
    path.write_bytes(fetched(served.ask, "/hls/door/index.m3u8"))
    pictures = decoded(str(path))
    shown = numbers(pictures)
    assert shown == list(range(shown[0], shown[0] + len(shown)))
    assert len(shown) >= 90
    assert np.diff([at for at, _ in pictures]) == pytest.approx([1 / 30] * (len(shown) - 1), abs=1e-3)
    assert all(share(image[60:150, 80:81], colour("person"), 60) > 0.6 for _, image in pictures)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg to read the stream")
def test_ffmpeg_plays_it_live(air: Callable[..., Airing], tmp_path: Path) -> None:
    served = air(token=None, clock=SystemClock())
    served.pace()
    seconds = float(os.environ.get("LOOKOUT_READ_BACK", "2"))
    path = tmp_path / "read.mp4"
    address = f"http://127.0.0.1:{served.port}/hls/door/index.m3u8"
    command = ["ffmpeg", "-v", "error", "-i", address, "-t", str(seconds), "-c", "copy", str(path)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds + HANG_S)
    pictures = decoded(str(path))
    times = [at for at, _ in pictures]
    assert times[-1] - times[0] > seconds - 0.5, done.stderr
    assert all(step > 0 for step in np.diff(times))
    shown = numbers(pictures)
    assert shown == list(range(shown[0], shown[0] + len(shown)))
    assert all(share(image[60:150, 80:81], colour("person"), 60) > 0.6 for _, image in pictures)


def test_nothing_is_made_while_nobody_watches(air: Callable[..., Airing], monkeypatch: pytest.MonkeyPatch) -> None:
    served = air("door", "yard", token=None)
    scene = served.scenes["door"]
    assert [served.picture() for _ in range(40)] == [False] * 40
    assert (scene.drawn, told(served)) == (0, "")
    served.hls_streams["door"].admit("tv")
    assert served.picture()
    assert scene.drawn == 1
    assert told(served) == "waiting for a picture, 1 viewer"
    served.burst(100)
    assert told(served) == "live, 2 viewers"
    assert not served.picture("yard")
    drawn = scene.drawn
    monkeypatch.setattr("pipeline.outputs.hls.live_stream._PLAYER_GONE_AFTER_S", -1.0)
    assert not served.picture()
    assert (scene.drawn, told(served), served.hls_streams["door"].ready) == (drawn, "", False)


def test_all_players_share_one_encoder_and_are_counted_as_viewers(air: Callable[..., Airing]) -> None:
    served = air(token=None, viewers=2)
    served.burst(100)
    drawn = served.scenes["door"].drawn
    assert drawn == 100
    assert [served.ask("/hls/door/live.m3u8")[0] for _ in range(5)] == [200] * 5
    assert json.loads(served.ask("/api/cameras/door")[2])["viewers"] == 2
    other = http.client.HTTPConnection("127.0.0.1", served.port, timeout=HANG_S, source_address=("127.0.0.9", 0))
    other.request("GET", "/hls/door/live.m3u8")
    answer = other.getresponse()
    assert (answer.status, answer.read()) == (503, b"Too many viewers; try again later.\n")
    other.close()
    assert served.ask("/cameras/door/stream.mjpg")[0] == 503
    assert served.scenes["door"].drawn == drawn


def busy(served: Airing) -> int:
    """How many requests wait for their answer."""
    server = served.web._server
    assert server is not None
    cycles = [getattr(each, "cycle", None) for each in list(server.server_state.connections)]
    return sum(cycle is not None and not cycle.response_complete for cycle in cycles)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let requests that wait for pictures do so for longer than any test lasts."""
    real = HlsStream.wait_until
    monkeypatch.setattr(HlsStream, "wait_until", lambda stream, holds, seconds: real(stream, holds, 3 * HANG_S))


@pytest.mark.usefixtures("patient")
def test_a_player_waits_for_the_part_that_comes_next(air: Callable[..., Airing]) -> None:
    served = air(token=None)
    served.burst(100)
    text = served.ask("/hls/door/live.m3u8")[2].decode()
    hint = value(text, "PRELOAD-HINT").split('"')[1]
    number, index = map(int, hint[:-4].split("."))
    answers: dict[str, bytes] = {}

    def ask(path: str) -> None:
        answers[path] = served.ask(f"/hls/door/{path}")[2]

    paths = [hint, f"live.m3u8?_HLS_msn={number}&_HLS_part={index}", f"live.m3u8?_HLS_msn={number}"]
    waiting = [threading.Thread(target=ask, args=(path,)) for path in paths]
    for each in waiting:
        each.start()
    assert until(lambda: busy(served) == 3)
    assert not answers
    served.burst(6)
    assert until(lambda: len(answers) == 2)
    assert hint in answers[paths[1]].decode()
    assert answers[hint][4:8] == b"moof"
    served.burst(30)
    for each in waiting:
        each.join(HANG_S)
    assert segments(answers[paths[2]].decode())[-1][1] == f"{number}.m4s"
    # What was announced and never came is told to be missing.
    length = len([name for _, name, _ in parts(served.ask("/hls/door/live.m3u8")[2].decode()) if str(number) in name])
    assert served.ask(f"/hls/door/{number}.{length}.m4s")[0] == 404


@pytest.mark.parametrize(
    ("file", "status"),
    [
        ("live.m3u8?_HLS_msn=x", 400),
        ("live.m3u8?_HLS_msn=-1", 400),
        ("live.m3u8?_HLS_part=1", 400),
        ("live.m3u8?_HLS_msn=9999999999", 400),
        ("live.m3u8?_HLS_msn=99999999999999999999", 400),
        ("live.m3u8?_HLS_msn=1", 200),
        ("0.m4s", 404),
        ("0.0.m4s", 404),
        ("9999999999.0.m4s", 404),
        ("head-0.mp4", 404),
        ("head-0.m4s", 404),
        ("0.mp4", 404),
        ("other.m3u8", 404),
        ("..%2f..%2fetc%2fpasswd", 404),
        ("%00.m4s", 404),
        ("٣.m4s", 404),
    ],
)
@pytest.mark.usefixtures("patient")
def test_what_is_not_there_is_said_at_once(air: Callable[..., Airing], file: str, status: int) -> None:
    served = air(token=None)
    served.burst(100)
    answer = served.ask("/hls/door/" + (file if file.isascii() else "%D9%A3.m4s"))
    assert answer[0] == status
    assert answer[2].count(b"\n") <= 1 or status == 200


def test_a_camera_without_pictures_says_so_in_one_line_and_comes_back(air: Callable[..., Airing]) -> None:
    served = air(token=None)
    door = served.scenes["door"].camera
    door.changed(State.OFFLINE, "refused", 4.0)
    status, headers, body = served.ask("/hls/door/index.m3u8")
    assert (status, headers["retry-after"]) == (503, "2")
    assert re.fullmatch(
        r".+: offline since (\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d \S+ \(refused\), retry in \d s\.\n",
        body.decode(),
    )
    door.changed(State.LIVE)
    served.burst(100)
    assert served.ask("/hls/door/index.m3u8")[0] == 200
    before = served.ask("/hls/door/live.m3u8")[2].decode()
    door.changed(State.STALLED, "no data")
    served.stats.clock = _Later(served.stats.clock, 8.0)  # type: ignore[assignment]
    served.hls_streams["door"]._clock = served.hls_streams["door"]._segmenter._clock = served.stats.clock
    assert served.ask("/hls/door/index.m3u8")[2].startswith(b"door gives no pictures now: no picture for ")
    # Who plays already waits, and goes on as soon as there is something.
    assert served.ask("/hls/door/live.m3u8")[2].decode() == before
    door.changed(State.LIVE)
    served.scenes["door"].clock = served.stats.clock  # type: ignore[assignment]
    served.burst(60)
    after = served.ask("/hls/door/live.m3u8")[2].decode()
    assert after.count("#EXT-X-DISCONTINUITY\n") == before.count("#EXT-X-DISCONTINUITY\n") + 1
    assert set(segments(before)[1:]) <= set(segments(after))
    assert served.ask("/hls/door/index.m3u8")[0] == 200


class _Later:
    """A clock that has jumped."""

    def __init__(self, clock: Any, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def monotonic(self) -> float:
        return float(self._clock.monotonic()) + self._seconds

    def now(self) -> Any:
        return self._clock.now()


@pytest.mark.parametrize(
    ("codec", "asked"), [("mjpeg", Presentation()), ("h264", Presentation(90)), ("h264", Presentation(0, True))]
)
def test_a_camera_that_does_not_send_h264_or_is_to_be_turned_is_encoded_without_boxes(
    air: Callable[..., Airing], codec: str, asked: Presentation
) -> None:
    served = air(token=None, boxes="no")
    served.output.packet(Packet("door", codec, b"x", True, 0.0, 0.0, 0.0, WIDTH, HEIGHT, asked))
    served.burst(100)
    status, _, index = served.ask("/hls/door/index.m3u8")
    assert status == 200
    assert b"avc1.64" in index
    assert served.scenes["door"].drawn == 0


def test_without_an_output_hls_there_is_none(crew: Start, air: Callable[..., Airing]) -> None:
    served = air(token=None)
    assert served.ask("/hls/yard/index.m3u8")[::2] == (404, b"There is no such camera.\n")
    served.hls_streams.clear()
    assert served.ask("/hls/door/index.m3u8")[::2] == (404, b"No HLS is made; add `- hls` to the outputs.\n")
    assert json.loads(served.ask("/api/cameras/door")[2])["hls"] is None


def test_the_address_is_announced_and_told_to_pages(air: Callable[..., Airing]) -> None:
    served = air(token=None)
    assert list(served.web.announcements()) == [
        f"watch on http://127.0.0.1:{served.port}/",
        f"HLS on http://127.0.0.1:{served.port}/hls/{{camera}}/index.m3u8",
    ]
    assert json.loads(served.ask("/api/cameras/door")[2])["hls"] == "/hls/door/index.m3u8"


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRONG_TOKEN_DELAY_S", 0.01)


@pytest.mark.usefixtures("hasty")
def test_the_secret_of_an_address_opens_that_stream_and_nothing_else(air: Callable[..., Airing]) -> None:
    served = air("door", "yard")
    served.burst(100)
    served.burst(100, "yard")
    door, yard = served.address("door"), served.address("yard")
    secret = door.split("/")[2]
    assert re.fullmatch(r"/hls/[a-z2-7]{24}/door/index\.m3u8", door)
    assert secret not in yard
    assert served.ask(door)[0] == served.ask(yard)[0] == 200
    assert len(decoded_from(served, door)) >= 90
    wrong = [
        yard.replace("yard", "door"),
        door.replace("door", "yard"),
        door.replace("door", "nobody"),
        door.replace(secret, secret[:-1]),
        door.replace(secret, secret.upper()),
        door.replace(secret, ""),
        door.replace(secret, "%00"),
        door.replace(secret, TOKEN),
    ]
    for path in wrong:
        status, _, body = served.ask(path)
        assert (status, body) == (404, b"There is no such stream; take its address from the page again.\n"), path
    for path in ("/hls/door/index.m3u8", f"/hls/{secret}/index.m3u8", "/hls/door/live.m3u8", "/hls/door/head-0.mp4"):
        assert served.ask(path)[0] == 401, path
    for path in ("/api/cameras", "/cameras/door/snapshot.jpg", f"/api/{secret}/cameras/door", f"/hls/{secret}/../../"):
        assert served.ask(path)[0] in (401, 404), path
        assert served.ask(f"{path}?key={secret}")[0] in (401, 404), path
        assert served.ask(path, authorization=f"Bearer {secret}")[0] in (401, 404), path
    assert served.ask(f"/hls/{secret}/door/x/../index.m3u8")[0] == 401
    assert served.bearer("/hls/door/index.m3u8")[0] == 200
    assert served.ask(door, origin="http://elsewhere.example")[0] == 200
    assert served.ask(door, host="elsewhere.example")[0] == 421
    assert served.ask(door, "POST")[0] == 405


def decoded_from(served: Airing, address: str) -> list[Any]:
    import io

    return decoded(io.BytesIO(fetched(served.ask, address)))


def test_a_wrong_secret_is_answered_slowly(air: Callable[..., Airing]) -> None:
    served = air()
    begun = time.monotonic()
    assert served.ask(served.address().replace("/door", "x/door"))[0] == 404
    assert time.monotonic() - begun > 0.9


def test_the_secret_lives_as_long_as_the_token(air: Callable[..., Airing]) -> None:
    first, second, other = air(), air(), air(token="another-token-of-the-page")
    assert first.address() == second.address()
    assert first.address() != other.address()


def test_the_secret_stands_on_the_page_only(air: Callable[..., Airing], caplog: pytest.LogCaptureFixture) -> None:
    served = air()
    served.burst(100)
    secret = served.address().split("/")[2]
    assert served.ask(served.address())[0] == 200
    lines = list(served.web.announcements())
    told_token = "with the token; the page has addresses that need none"
    assert lines[1] == f"HLS on http://127.0.0.1:{served.port}/hls/{{camera}}/index.m3u8 {told_token}"
    everything = [*lines, json.dumps(served.stats.told()), served.bearer("/metrics")[2].decode(), caplog.text]
    everything.append(json.dumps(served.stats.outputs["hls"].summary()))
    everything += [served.ask(path)[2].decode() for path in ("/login", "/healthz", "/readyz", "/api/cameras")]
    playlist = served.ask(urljoin(served.address(), "live.m3u8"))[2].decode()
    assert not [text for text in (*everything, playlist) if secret in text]
    assert scrub(f"GET {served.address()}") == "GET /hls/***/door/index.m3u8"
    assert json.loads(served.bearer("/api/cameras/door")[2])["hls"] == served.address()


def test_the_answers_are_what_the_document_says(air: Callable[..., Airing]) -> None:
    served = air(token=None)
    whole = json.loads(served.ask("/openapi.json")[2])
    operation = whole["paths"]["/hls/{name}/index.m3u8"]["get"]["responses"]
    served.scenes["door"].camera.changed(State.OFFLINE, "refused")
    seen = {}
    for name in ("door", "nobody"):
        seen[served.ask(f"/hls/{name}/index.m3u8")[0]] = served.ask(f"/hls/{name}/index.m3u8")[1]["content-type"]
    served.scenes["door"].camera.changed(State.LIVE)
    served.burst(100)
    seen[200] = served.ask("/hls/door/index.m3u8")[1]["content-type"]
    for status, kind in seen.items():
        assert kind.partition(";")[0] in operation[str(status)]["content"]
    assert set(seen) == {200, 404, 503}
    schema = {"components": whole["components"], "$ref": "#/components/schemas/Camera"}
    Draft202012Validator(schema).validate(json.loads(served.ask("/api/cameras/door")[2]))


def test_a_player_that_reads_nothing_holds_little_and_is_cut_off(
    air: Callable[..., Airing], clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "STALL_TIMEOUT_S", 0.4)
    served = air(token=None, boxes="no")
    padded = b"\0\0\0\1\x06\x05" + b"\xff" * 200_000
    for number in range(100):
        data = b"".join(b"\0\0\0\1" + unit for unit in clip.units[number % 120]) + padded
        at = number / 30
        now = served.stats.clock.monotonic()
        served.output.packet(Packet("door", "h264", data, number % 30 == 0, at, at, now, WIDTH, HEIGHT))
    name = segments(served.ask("/hls/door/live.m3u8")[2].decode())[-1][1]
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", served.port))
        line.sendall(f"GET /hls/door/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        server = served.web._server
        assert server is not None
        connections: set[Any] = server.server_state.connections
        assert until(lambda: any(each.flow.write_paused for each in list(connections)))
        held = [each.transport.get_write_buffer_size() for each in list(connections)]
        assert max(held) < 500_000
        assert until(lambda: not connections)


@pytest.mark.usefixtures("patient")
def test_who_waits_is_let_go_at_the_end(air: Callable[..., Airing]) -> None:
    served = air(token=None)
    served.burst(100)
    number = served.hls_streams["door"].newest
    asking = threading.Thread(target=lambda: served.ask(f"/hls/door/live.m3u8?_HLS_msn={number + 1}"))
    asking.start()
    assert until(lambda: busy(served) == 1)
    served.close()
    asking.join(HANG_S)
    assert not asking.is_alive()


PLAYED = """() => {
  const video = document.querySelector('video')
  const canvas = document.createElement('canvas')
  if (!video || !video.videoWidth) return null
  canvas.width = video.videoWidth
  canvas.height = video.videoHeight
  const context = canvas.getContext('2d')
  context.drawImage(video, 0, 0)
  const cell = Math.floor(canvas.height / 16)
  let number = 0
  for (let bit = 0; bit < 12; bit++) {
    const at = context.getImageData(bit * cell + cell / 2, cell / 2, 1, 1).data
    if (at[1] > 128) number |= 1 << bit
  }
  const box = context.getImageData(80, 60, 1, 90).data
  return { number, box: [box[0], box[1], box[2]], error: video.error && video.error.message }
}"""


def follow(page: Any, count: int) -> None:
    """See that pictures go on, one after the other, until so many different ones were seen."""
    assert until(lambda: (page.evaluate(PLAYED) or {}).get("number", 0) > 0), page.content()
    seen: list[int] = []

    def enough() -> bool:
        shown = page.evaluate(PLAYED)
        assert shown["error"] is None
        seen.append(shown["number"])
        return len(set(seen)) >= count

    assert until(enough), seen
    assert sorted(seen) == seen


def native(browser: Any) -> None:
    if int(browser.version.split(".")[0]) < 142:
        pytest.skip("this Chromium does not play HLS by itself")


def test_a_browser_plays_the_link_of_the_page_by_itself(air: Callable[..., Airing], browser: Any, page: Any) -> None:
    native(browser)
    served = air(clock=SystemClock())
    served.pace()
    page.goto(f"http://127.0.0.1:{served.port}/login")
    page.fill("input[name=token]", TOKEN)
    page.press("input[name=token]", "Enter")
    link = page.locator("[data-camera=door] a.stream")
    link.wait_for()
    assert link.evaluate("link => new URL(link.href).pathname") == served.address()
    link.click()
    follow(page, 15)


@pytest.mark.skipif(not HLS, reason="LOOKOUT_HLSJS names no hls.js (npm install hls.js brings dist/hls.min.js)")
@pytest.mark.parametrize("boxes", ["burnt", "no"])
def test_hls_js_plays_it_with_low_latency_over_a_pause(
    air: Callable[..., Airing], page: Any, clip: Clip, boxes: str
) -> None:
    served = air(boxes=boxes, clock=SystemClock())
    served.pace(None if boxes == "burnt" else lambda: served.packet(clip, 30))
    player = "<!doctype html><video muted autoplay></video>"
    page.route("**/player.html", lambda route: route.fulfill(body=player, content_type="text/html"))
    page.goto(f"http://127.0.0.1:{served.port}/player.html")
    page.add_script_tag(path=HLS)
    page.evaluate(
        """address => {
          window.fatal = []
          const hls = window.hls = new Hls({ lowLatencyMode: true })
          hls.on(Hls.Events.ERROR, (_, { details, fatal }) => fatal && window.fatal.push(details))
          hls.loadSource(address)
          hls.attachMedia(document.querySelector('video'))
        }""",
        served.address(),
    )
    assert until(lambda: (page.evaluate(PLAYED) or {}).get("number", 0) > 0)
    assert until(lambda: page.evaluate("hls.latestLevelDetails?.partList?.length") or 0)
    assert page.evaluate("hls.levels[0].videoCodec").startswith("avc1.")
    served.paused.set()
    assert until(lambda: page.evaluate("document.querySelector('video').readyState") < 3)
    served.paused.clear()
    number = served.number
    assert until(lambda: served.number > number + 60)
    assert until(lambda: page.evaluate("document.querySelector('video').buffered.length") > 0)
    before = page.evaluate("document.querySelector('video').currentTime")
    assert until(lambda: page.evaluate("document.querySelector('video').currentTime") > before + 1)
    assert page.evaluate("window.fatal") == []
