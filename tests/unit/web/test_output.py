from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pipeline.clock import Clock, SystemClock
from pipeline.draw.primitives import GREEN, RED, colour
from pipeline.errors import OutputError
from pipeline.frames import Image, Packet
from pipeline.stats.camera import State
from pipeline.stats.registry import Stats
from pipeline.web.app import page_assets
from pipeline.web.listener import listen
from pipeline.web.origin_check import host_name
from pipeline.web.output import WebOutput
from pipeline.web.settings import Web
from tests.support.clock import ManualClock
from tests.support.outputs import context
from tests.support.scenes import Scene, share
from tests.support.wait import HANG_S, until

Start = Callable[[str, Callable[[], None]], None]


class Served:
    """A page with real cameras' worth of hand-made results."""

    def __init__(
        self,
        start: Start,
        cameras: tuple[str, ...] = ("door",),
        clock: Clock | None = None,
        undetected: tuple[str, ...] = (),
        **settings: Any,
    ) -> None:
        self.stats = Stats(list(cameras), clock or SystemClock(), undetected=undetected)
        self.scenes = {name: Scene(self.stats.clock, name, self.stats) for name in cameras}
        self.web = WebOutput(Web(**{"port": 0} | settings), context(self.stats, start))
        self.web.open()
        self.port = int(self.web.address.rsplit(":", 1)[1].strip("/"))

    def give(self, camera: str = "door", **kind: Any) -> bool:
        scene = self.scenes[camera]
        result = scene.result(**kind)
        shown = self.web.show(scene.view(result))
        if shown:
            scene.camera.shown(result.frame.captured)
        return shown

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        try:
            connection.request(method, path, headers={key.replace("_", "-"): value for key, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def card(self, camera: str = "door") -> dict[str, Any]:
        cards = json.loads(self.get("/api/cameras")[2])["cameras"]
        return next(card for card in cards if card["name"] == camera)

    def stream(self, camera: str = "door") -> Stream:
        return Stream(self.port, camera)

    def encoded(self) -> int:
        stages = self.stats.stages()
        return stages["jpeg"].count if "jpeg" in stages else 0


class Stream:
    """A program that looks at a camera's MJPEG address."""

    def __init__(self, port: int, camera: str, buffer: int = 0) -> None:
        self.socket = socket.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(HANG_S)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(f"GET /cameras/{camera}/stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.answer = http.client.HTTPResponse(self.socket)
        self.answer.begin()

    def picture(self) -> Image:
        while not (line := self.answer.readline()).lower().startswith(b"content-length"):
            assert line, "the stream has ended"
        self.answer.readline()
        data = self.answer.read(int(line.split(b":")[1]))
        return decoded(data)

    def close(self) -> None:
        self.answer.close()
        self.socket.close()


def drain(stream: Stream) -> None:
    """Read until the stream ends."""
    while True:
        stream.picture()


def decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


@pytest.fixture
def serve(crew: Start) -> Iterator[Callable[..., Served]]:
    made: list[Served] = []

    def start(*cameras: str, **settings: Any) -> Served:
        made.append(Served(crew, cameras or ("door",), **settings))
        return made[-1]

    yield start
    for each in made:
        each.web.close()


def test_a_viewer_gets_the_newest_pictures_with_their_boxes(serve: Callable[..., Served]) -> None:
    served = serve()
    served.give()
    with contextlib.closing(served.stream()) as stream:
        image = stream.picture()
        assert image.shape == (360, 640, 3)
        assert share(image[120:320, 160:161], colour("person"), 90) > 0.9
        assert served.give(boxes=[(400, 100, 500, 300)])
        assert share(stream.picture()[110:290, 400:401], colour("person"), 90) > 0.9


def test_nothing_is_encoded_or_drawn_while_nobody_looks(serve: Callable[..., Served]) -> None:
    served = serve("door", "yard")
    assert not any(served.give() for _ in range(5))
    assert served.card()["viewers"] == 0
    served.give("yard")
    with contextlib.closing(served.stream("yard")) as stream:
        stream.picture()
        before = served.encoded()
        assert not served.give("door")
        assert served.encoded() == before
        assert served.scenes["door"].drawn == 0


def test_a_picture_is_encoded_once_for_all_viewers(serve: Callable[..., Served]) -> None:
    served = serve()
    served.give()
    streams = [served.stream() for _ in range(4)]
    for stream in streams:
        stream.picture()
    assert served.encoded() == 1
    for shade in (80, 100, 120):
        assert served.give(shade=shade)
        assert [int(stream.picture()[350, 630, 0]) for stream in streams] == pytest.approx([shade] * 4, abs=2)
    assert served.encoded() == 4
    assert served.scenes["door"].drawn == 4
    for stream in streams:
        stream.close()


def test_a_viewer_that_leaves_is_noticed(serve: Callable[..., Served]) -> None:
    served = serve()
    served.give()
    stream = served.stream()
    stream.picture()
    assert served.card()["viewers"] == 1
    stream.close()
    assert until(lambda: served.card()["viewers"] == 0)
    assert not served.give()


def test_a_viewer_that_does_not_read_holds_up_nobody_and_then_skips_to_the_newest(serve: Callable[..., Served]) -> None:
    served = serve()
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    served.give(width=1280, height=720)
    slow = Stream(served.port, "door", buffer=4096)
    brisk = served.stream()
    count = 40
    for shade in range(count):
        scene = served.scenes["door"]
        result = scene.result(1280, 720, [])
        picture = noise.copy()
        picture[600:] = shade * 6
        result.frame.picture._pixels = picture  # type: ignore[attr-defined]
        assert served.web.show(scene.view(result))
        while abs(int(brisk.picture()[700, 600, 0]) - shade * 6) > 3:
            pass
    shades: list[float] = []
    while not shades or shades[-1] < (count - 1) * 6 - 3:
        shades.append(int(slow.picture()[700, 600, 0]))
    assert len(shades) < count / 2
    slow.close()
    brisk.close()


def test_a_viewer_that_never_reads_is_dropped_in_the_end(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.limits.STALL_TIMEOUT_S", 0.3)
    served = serve()
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    served.give(width=1280, height=720)
    with contextlib.closing(Stream(served.port, "door", buffer=4096)):
        assert served.card()["viewers"] == 1

        def gone() -> bool:
            result = served.scenes["door"].result(1280, 720, [])
            result.frame.picture._pixels = noise  # type: ignore[attr-defined]
            served.web.show(served.scenes["door"].view(result))
            return bool(served.card()["viewers"] == 0)

        assert until(gone)


def test_one_viewer_too_many_is_told_to_come_back(serve: Callable[..., Served]) -> None:
    served = serve(viewers=2)
    streams = [served.stream(), served.stream()]
    status, headers, _ = served.get("/cameras/door/stream.mjpg")
    assert (status, headers["retry-after"]) == (503, "5")
    assert served.get("/api/cameras/door/snapshot.jpg")[0] == 200
    streams[0].close()
    assert until(lambda: served.card()["viewers"] == 1)
    served.stream().close()
    streams[1].close()


def test_a_live_picture_that_grows_old_reaches_viewers_dimmed_under_red_by_itself(serve: Callable[..., Served]) -> None:
    clock = ManualClock()
    served = serve(clock=clock)
    served.give(age=1.0)
    with contextlib.closing(served.stream()) as stream:
        assert share(stream.picture()[:20], RED, 30) < 0.1
        clock.advance(1.0)
        assert share(stream.picture()[:20], RED, 30) > 0.5
    assert share(decoded(served.get("/api/cameras/door/snapshot.jpg")[2])[:20], RED, 30) > 0.5
    assert served.card()["stale"]


def test_a_snapshot_before_the_first_picture_says_that_there_is_none(serve: Callable[..., Served]) -> None:
    served = serve()
    status, headers, body = served.get("/api/cameras/door/snapshot.jpg")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    assert decoded(body).shape == (360, 640, 3)
    assert served.card()["text"] == "waiting for a picture"


def test_the_numbers_of_every_camera_are_there_as_json(serve: Callable[..., Served]) -> None:
    served = serve("door", "yard", clock=ManualClock())
    served.give("door")
    door = served.scenes["door"].camera
    door.captured()
    door.inferred(3)
    door.captured()
    door.dropped("stale")
    served.scenes["yard"].camera.changed(State.OFFLINE, "refused", 4.0)
    card = served.card("door")
    assert card.pop("age_ms") == 40
    assert card.pop("since").endswith("Z")
    assert card.pop("last_good").endswith("Z")
    assert card.pop("text").startswith("LIVE ")
    assert card == {
        "name": "door",
        "state": "live",
        "reason": "",
        "retry_in": None,
        "next_try": None,
        "level": "good",
        "stale": False,
        "live": True,
        "source": "",
        "width": 640,
        "height": 360,
        "detected": True,
        "people": 3,
        "fps": 0.0,
        "fps_in": card["fps_in"],
        "fps_detected": 0.0,
        "captured": 2,
        "inferred": 1,
        "carried": 0,
        "passed": 0,
        "shown": 0,
        "dropped": {"stale": 1},
        "in_flight": 0,
        "reconnects": 0,
        "late": 0,
        "viewers": 0,
        "clip_s": 0.0,
        "direct": None,
        "hls": None,
    }
    yard = served.card("yard")
    assert (yard["state"], yard["reason"], yard["level"], yard["age_ms"]) == ("offline", "refused", "bad", None)
    assert "offline since" in yard["text"]
    assert "retry in 4 s" in yard["text"]


def test_every_answer_carries_the_same_strict_headers(serve: Callable[..., Served]) -> None:
    served = serve()
    served.give()
    for path in (
        "/",
        "/page.js",
        "/page.css",
        "/icon.svg",
        "/api/cameras",
        "/api/cameras/door/snapshot.jpg",
        "/nothing",
    ):
        status, headers, _ = served.get(path)
        assert status == (404 if path == "/nothing" else 200)
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
    assert "http://" not in served.get("/")[2].decode().replace("http://www.w3.org", "")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::2]:80"])
def test_a_foreign_host_name_is_refused(serve: Callable[..., Served], host: str) -> None:
    served = serve()
    for path in ("/", "/api/cameras", "/api/cameras/door/snapshot.jpg", "/cameras/door/stream.mjpg"):
        assert served.get(path, Host=host)[0] == 421


def test_ports_are_not_part_of_a_host_name() -> None:
    names = ["localhost:8080", "LOCALHOST", "127.0.0.1:1", "[::1]:8080", "[::1]", "localhost:"]
    expected = ["localhost", "localhost", "127.0.0.1", "[::1]", "[::1]", "localhost"]
    assert [host_name(name) for name in names] == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_only_reading_is_possible(serve: Callable[..., Served], method: str) -> None:
    status, headers, _ = serve().get("/api/cameras", method)
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_head_answers_without_a_body_and_without_a_viewer(serve: Callable[..., Served]) -> None:
    served = serve()
    for path in ("/", "/api/cameras", "/cameras/door/stream.mjpg"):
        status, _, body = served.get(path, "HEAD")
        assert (status, body) == (200, b"")
    assert served.card()["viewers"] == 0


@pytest.mark.parametrize(
    "path",
    [
        "/../output.py",
        "/%2e%2e/output.py",
        "/api/cameras/..%2f..%2fetc%2fpasswd/snapshot.jpg",
        "/cameras/nobody/stream.mjpg",
        "/api/cameras/door%00/snapshot.jpg",
        "//etc/passwd",
        "/index.html/..",
        "/api/cameras/" + "a" * 5000 + "/snapshot.jpg",
    ],
)
def test_only_what_is_served_can_be_had(serve: Callable[..., Served], path: str) -> None:
    status, _, body = serve().get(path)
    assert status == 404
    assert b"root:" not in body


def test_a_request_that_trickles_in_is_ended(serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.limits.REQUEST_TIMEOUT_S", 0.3)
    served = serve()
    with socket.create_connection(("127.0.0.1", served.port), HANG_S) as slow, contextlib.suppress(ConnectionError):
        slow.sendall(b"GET / HTTP/1.1\r\n")
        assert until(lambda: slow.sendall(b"X-More: yes\r\n")), "the server went on listening"
    assert served.get("/")[0] == 200


def test_a_port_in_use_is_one_line(crew: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        web = WebOutput(Web(port=port), context(Stats(["door"]), crew))
        with pytest.raises(OutputError) as caught:
            web.open()
    assert str(caught.value) == f"port {port} on 127.0.0.1 is in use; choose another with --web PORT"
    web.close()


def test_closing_ends_the_server_though_viewers_look_and_one_does_not_read(serve: Callable[..., Served]) -> None:
    served = serve()
    noise = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), np.uint8)
    deaf = Stream(served.port, "door", buffer=4096)
    brisk = served.stream()
    for _ in range(10):
        scene = served.scenes["door"]
        result = scene.result(1280, 720, [])
        result.frame.picture._pixels = noise.copy()  # type: ignore[attr-defined]
        served.web.show(scene.view(result))
        brisk.picture()
    served.web.close()
    with pytest.raises((ConnectionError, AssertionError, http.client.IncompleteRead)):
        drain(brisk)
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", served.port), HANG_S)
    assert not served.give()
    served.web.close()
    deaf.close()
    brisk.close()


def test_a_server_that_is_busy_at_the_end_ends_without_an_error_as_soon_as_it_can(
    serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.limits.SHUTDOWN_STEP_S", 0.01)
    served = serve()
    assert served.get("/")[0] == 200
    loop, free = served.web._loop, threading.Event()
    assert loop is not None
    loop.call_soon_threadsafe(free.wait, HANG_S)
    served.web.close()
    free.set()
    # The fixture `crew` fails on an error of the server's thread.
    assert until(loop.is_closed)
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", served.port), HANG_S)


def test_a_page_whose_thread_cannot_start_gives_its_port_back() -> None:
    def start(name: str, body: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    with listen("127.0.0.1", 0, 1) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(RuntimeError, match="new thread"):
        WebOutput(Web(port=port), context(Stats(["door"]), start)).open()
    listen("127.0.0.1", port, 1).close()


def test_a_page_of_another_site_cannot_open_the_socket(serve: Callable[..., Served]) -> None:
    served = serve()

    def upgrade(**headers: str) -> int:
        words = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        return served.get("/live", **words, **{"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}, **headers)[0]

    assert upgrade(Origin="http://evil.example") == 403
    assert upgrade(Host="evil.example", Origin="http://evil.example") == 403
    assert upgrade(Origin=f"http://127.0.0.1:{served.port}") == 101


def picture_of(message: bytes | str) -> tuple[dict[str, Any], Image]:
    assert isinstance(message, bytes)
    size = int.from_bytes(message[:4], "big")
    return json.loads(message[4 : 4 + size]), decoded(message[4 + size :])


def test_a_page_gets_its_next_picture_only_when_it_has_seen_the_last(serve: Callable[..., Served]) -> None:
    served = serve("door", "yard")
    with connect(f"ws://127.0.0.1:{served.port}/live", compression=None) as page:
        numbers = json.loads(page.recv(HANG_S))
        assert [card["name"] for card in numbers["cameras"]] == ["door", "yard"]
        page.send(json.dumps({"watch": ["door", "nobody", 7]}))
        assert until(lambda: served.give("door"))
        assert not served.give("yard")
        header, image = picture_of(page.recv(HANG_S))
        assert (header["camera"], header["live"], image.shape) == ("door", True, (360, 640, 3))
        assert header["title"] == pytest.approx(20 / 360, abs=0.001)
        for shade in (100, 150, 200):
            served.give("door", shade=shade, boxes=[])
        # Numbers come each second, and pictures in front of them.
        assert isinstance(page.recv(HANG_S), str), "a picture came though the last was not seen"
        page.send(json.dumps({"seen": "door"}))
        while isinstance(message := page.recv(HANG_S), str):
            pass
        _, image = picture_of(message)
        assert int(image[300, 300, 0]) == pytest.approx(200, abs=2)
        served.web.close()
        with pytest.raises(ConnectionClosed) as caught:
            drain_socket(page)
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code in (1001, 1012)


@pytest.mark.parametrize("nonsense", ["{", "[]", "7", "[" * 60_000, "x" * 100_000])
def test_a_page_that_talks_nonsense_is_let_go_and_others_stay(serve: Callable[..., Served], nonsense: str) -> None:
    served = serve()
    served.give()
    with connect(f"ws://127.0.0.1:{served.port}/live", compression=None) as page:
        page.send(nonsense)
        with pytest.raises(ConnectionClosed):
            drain_socket(page)
    assert until(lambda: json.loads(served.get("/api/cameras")[2])["viewers"] == 0)
    served.stream().close()


def drain_socket(page: Any) -> None:
    """Read until the socket is closed."""
    while True:
        page.recv(HANG_S)


def looks_at(page: Any, camera: str) -> Image:
    """What a person sees of a camera's picture."""
    return decoded_png(page.locator(f"[data-camera={camera}] .fit").screenshot())


def decoded_png(png: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def keep_giving(served: Served, page: Any, true: Callable[[], bool], *cameras: str, **kind: Any) -> bool:
    """Give pictures, as cameras do, until something holds."""
    done = threading.Event()

    def give() -> None:
        while not done.wait(0.04):
            for camera in cameras or ("door",):
                served.give(camera, **kind)

    giving = threading.Thread(target=give)
    giving.start()
    try:
        return until(lambda: page.wait_for_timeout(40) or true())
    finally:
        done.set()
        giving.join()


def boxed(image: Image) -> bool:
    tall, wide = image.shape[:2]
    column = image[tall // 3 : tall * 4 // 5, wide // 4 - 3 : wide // 4 + 4]
    return any(share(column[:, at : at + 1], colour("person"), 70) > 0.9 for at in range(column.shape[1]))


def test_the_page_shows_boxes_numbers_and_a_live_badge(serve: Callable[..., Served], page: Any) -> None:
    served = serve("door", "yard")
    served.scenes["door"].camera.inferred(2)
    page.goto(served.web.address)
    assert keep_giving(served, page, lambda: boxed(looks_at(page, "door")), "door", "yard")
    card = page.locator("[data-camera=door]")
    assert card.locator("h2").inner_text() == "door"

    def told() -> bool:
        """What the page says of pictures that keep coming, which a machine that is busy may not let it say at once."""
        return bool(
            share(looks_at(page, "door")[:14], GREEN, 40) > 0.02
            and card.locator(".people").inner_text() == "2"
            and card.locator(".age").inner_text().endswith(" ms")
            and page.locator("#total").inner_text() == "2 cameras, 2 people"
            and "live" in card.locator(".picture").get_attribute("aria-label").lower()
        )

    assert keep_giving(served, page, told, "door", "yard")


def test_a_tap_enlarges_one_camera_and_only_that_one_is_sent(serve: Callable[..., Served], page: Any) -> None:
    served = serve("door", "yard")
    page.goto(served.web.address)
    seen = page.locator("[data-camera=yard][data-seq]")
    assert keep_giving(served, page, lambda: seen.count() == 1, "door", "yard")
    page.locator("[data-camera=yard] .picture").click()
    assert until(lambda: served.give("yard") and not served.give("door"))
    assert keep_giving(served, page, lambda: looks_at(page, "yard").shape[1] >= 880, "yard")
    assert not page.locator("[data-camera=door]").is_visible()
    page.keyboard.press("Escape")
    page.locator("[data-camera=door]").wait_for(state="visible")
    assert until(lambda: served.give("yard") and served.give("door"))


def test_the_keyboard_does_what_a_finger_does_and_the_chart_has_words(serve: Callable[..., Served], page: Any) -> None:
    served = serve("door", "yard")
    page.goto(served.web.address)
    chart = page.locator("[data-camera=door] .chart")
    assert keep_giving(served, page, lambda: "ms old" in (chart.get_attribute("aria-label") or ""), "door", "yard")
    labels = page.get_by_role("button", name="Labels")
    page.keyboard.press("l")
    assert labels.get_attribute("aria-pressed") == "false"
    page.reload()
    page.wait_for_selector("[data-camera=yard]")
    assert labels.get_attribute("aria-pressed") == "false"
    labels.click()
    assert labels.get_attribute("aria-pressed") == "true"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("[data-camera=yard]").wait_for(state="hidden")
    page.keyboard.press("ArrowRight")
    page.locator("[data-camera=yard].large").wait_for()
    page.keyboard.press("Escape")
    page.locator("[data-camera=door]").wait_for(state="visible")
    page.keyboard.press("f")
    page.locator("#full[aria-pressed=true]").wait_for(state="attached")


def test_the_page_dims_a_picture_that_grows_old_and_says_why(serve: Callable[..., Served], page: Any) -> None:
    served = serve()
    page.goto(served.web.address)
    assert keep_giving(served, page, lambda: boxed(looks_at(page, "door")))
    page.wait_for_selector("[data-camera=door].stale")
    image = looks_at(page, "door")
    assert not boxed(image)
    assert share(image[2:24], RED, 40) > 0.6
    assert "no picture for" in page.locator(".banner").inner_text()
    served.scenes["door"].camera.changed(State.OFFLINE, "refused", 9.0)
    page.get_by_text("(refused), retry in").wait_for()
    served.scenes["door"].camera.changed(State.LIVE)
    assert keep_giving(served, page, lambda: boxed(looks_at(page, "door")))


def test_the_page_notices_that_the_server_has_gone_and_comes_back_by_itself(
    serve: Callable[..., Served], page: Any, allowed: list[str]
) -> None:
    allowed.append("net::ERR_")
    served = serve()
    page.goto(served.web.address)
    assert keep_giving(served, page, lambda: boxed(looks_at(page, "door")))
    served.web.close()
    page.get_by_text("no connection to Lookout").first.wait_for()
    page.wait_for_selector("[data-camera=door].stale")
    assert not boxed(looks_at(page, "door"))
    again = serve(port=served.port)
    assert keep_giving(again, page, lambda: boxed(looks_at(page, "door")))
    page.get_by_text("connected", exact=True).wait_for()


def test_the_page_counts_nobody_before_the_detector_has_or_where_it_is_off(
    serve: Callable[..., Served], page: Any
) -> None:
    served = serve("door", "yard", undetected=("yard",))
    total = page.locator("#total")
    door, yard = (page.locator(f"[data-camera={name}] .people") for name in ("door", "yard"))
    page.goto(served.web.address)
    assert keep_giving(served, page, lambda: total.inner_text() == "2 cameras, nobody counted yet", "door")
    assert (door.inner_text(), yard.inner_text()) == ("\u2013", "detection off")
    assert served.card("door")["people"] is None
    served.scenes["door"].camera.inferred(0)
    assert keep_giving(served, page, lambda: total.inner_text() == "2 cameras, 0 people", "door")
    assert keep_giving(served, page, lambda: door.inner_text() == "0", "door")


def test_the_page_never_says_that_all_is_well_above_cameras_that_are_not(
    serve: Callable[..., Served], page: Any, allowed: list[str]
) -> None:
    allowed.append("net::ERR_")
    served = serve("door", "yard")
    for name in ("door", "yard"):
        served.scenes[name].camera.inferred(31)
    page.goto(served.web.address)
    link, total = page.locator("#link"), page.locator("#total")
    assert keep_giving(served, page, lambda: total.inner_text() == "2 cameras, 62 people", "door", "yard")
    assert keep_giving(served, page, lambda: link.inner_text() == "connected", "door", "yard")
    served.scenes["yard"].camera.changed(State.OFFLINE, "refused", 9.0)
    assert keep_giving(served, page, lambda: link.inner_text() == "1 of 2 not live", "door")
    assert keep_giving(served, page, lambda: total.inner_text() == "2 cameras, 31 people", "door")
    assert link.get_attribute("data-level") == "warn"
    assert page.locator("[data-camera=yard] .people").inner_text() == "\u2013"
    assert served.card("yard")["people"] is None
    assert b'lookout_camera_people{camera="yard"}' not in served.get("/metrics")[2]
    assert until(lambda: page.wait_for_timeout(40) or link.inner_text() == "2 of 2 not live")
    assert link.get_attribute("data-level") == "bad"
    pill = page.locator("[data-camera=door] footer .pill")
    assert pill.inner_text().lower() == "no picture"
    assert pill.get_attribute("data-level") == "bad"
    served.web.close()
    page.get_by_text("no connection", exact=True).first.wait_for()
    assert pill.inner_text().lower() == "no connection"


def test_an_open_page_takes_on_the_cameras_of_another_configuration(
    serve: Callable[..., Served], page: Any, allowed: list[str]
) -> None:
    allowed.append("net::ERR_")
    served = serve("door", "yard")
    page.goto(served.web.address)
    page.locator("[data-camera=yard] .picture").click()
    page.wait_for_selector("[data-camera=yard].large")
    served.web.close()
    serve("gate", "door", port=served.port)
    page.wait_for_selector("[data-camera=gate]")
    names = "[...document.querySelectorAll('[data-camera]')].map(card => card.dataset.camera)"
    assert page.evaluate(names) == ["gate", "door"]
    page.locator("[data-camera=door]").wait_for(state="visible")
    assert page.locator("#total").inner_text().startswith("2 cameras")


def test_an_open_page_of_another_version_loads_itself_anew(
    serve: Callable[..., Served], page: Any, monkeypatch: pytest.MonkeyPatch, allowed: list[str]
) -> None:
    allowed.append("net::ERR_")
    served = serve()
    page.goto(served.web.address)
    page.wait_for_selector("[data-camera=door]")
    page.evaluate("window.old = true")
    served.web.close()
    assets = page_assets()
    body, kind = assets["/page.css"]
    monkeypatch.setattr("pipeline.web.output.page_assets", lambda: assets | {"/page.css": (body + b"\n", kind)})
    serve(port=served.port)
    page.wait_for_function("() => window.old === undefined && document.querySelector('[data-camera=door]') !== null")


def test_a_stream_begins_at_the_size_of_the_camera(serve: Callable[..., Served]) -> None:
    served = serve("door", "yard", undetected=("yard",))
    for name in ("door", "yard"):
        served.scenes[name].camera.changed(State.LIVE)
        looking: list[tuple[int, ...]] = []

        def look(name: str = name, looking: list[tuple[int, ...]] = looking) -> None:
            with contextlib.closing(served.stream(name)) as stream:
                looking.append(stream.picture().shape)

        viewer = threading.Thread(target=look)
        viewer.start()
        assert until(lambda name=name: served.web.needs_frames(name))  # type: ignore[misc]
        served.give(name, width=1280, height=720)
        viewer.join()
        assert looking == [(720, 1280, 3)]


def test_what_says_that_a_camera_is_away_has_the_size_of_its_pictures(serve: Callable[..., Served]) -> None:
    served = serve("door", "yard")
    served.give("door", width=800, height=600)
    yard = Packet("yard", "hevc", b"", True, 0.0, 0.0, captured=0.0, width=352, height=288)
    served.web.packet(yard)
    for name, shape in (("door", (600, 800, 3)), ("yard", (288, 352, 3))):
        served.scenes[name].camera.changed(State.OFFLINE, "refused", 9.0)
        with contextlib.closing(served.stream(name)) as stream:
            assert stream.picture().shape == shape


def test_on_a_phone_nothing_is_cut_off(serve: Callable[..., Served], page: Any) -> None:
    served = serve("door", "yard", "a-camera-with-a-rather-long-name-for-a-phone")
    page.set_viewport_size({"width": 340, "height": 640})
    page.goto(served.web.address)
    page.wait_for_selector("[data-camera=yard]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert looks_at(page, "door").shape[1] > 300


def test_a_page_too_many_is_told_so(serve: Callable[..., Served], page: Any, allowed: list[str]) -> None:
    served = serve(viewers=1)
    with contextlib.closing(served.stream()):
        page.goto(served.web.address)
        page.get_by_text("too many viewers").wait_for()
    page.get_by_text("connected").wait_for()
