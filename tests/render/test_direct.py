"""The cameras' own pictures in a real browser: every box on its own picture, and back soon after every trouble."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from marked import SIDE, TOP, WIDTH, Watched, clip, left_of, pictures, turned
from render_scenes import until
from tabs import Tabs
from websockets.sync.client import connect

from pipeline.config import Config
from pipeline.frames import Image
from pipeline.render.output import View
from pipeline.runtime import Runtime
from tests.servers.h264 import Clip, encode, number_in, stamped, write_file
from tests.servers.rtsp import RtspServer

Error = pytest.importorskip("playwright.sync_api").Error
Start = Callable[[str, Callable[[], None]], None]
GREEN = np.array((160, 245, 0))


@pytest.fixture(scope="module")
def numbered() -> Clip:
    return clip()


@pytest.fixture(scope="module")
def short() -> Clip:
    """With a keyframe three times a second."""
    return clip(60, 10)


@pytest.fixture
def watch(crew: Start) -> Iterator[Callable[..., Watched]]:
    made: list[Watched] = []

    def begin(address: str, **kind: Any) -> Watched:
        made.append(Watched(crew, address, **kind))
        made[-1].begin()
        return made[-1]

    yield begin
    for each in made:
        each.end()


def screencast(page: Any, seconds: float, enough: Callable[[list[Image]], bool]) -> list[Image]:
    """What the screen shows of the camera's picture, one after the other, scaled to the camera's size."""
    box = page.locator(".fit canvas").bounding_box()
    shots: list[tuple[float, str]] = []
    session = page.context.new_cdp_session(page)

    def shot(event: dict[str, Any]) -> None:
        shots.append((event["metadata"]["timestamp"], event["data"]))
        with contextlib.suppress(Error):
            session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    session.on("Page.screencastFrame", shot)
    session.send("Page.startScreencast", {"format": "jpeg", "quality": 90, "everyNthFrame": 1})
    images: dict[float, Image] = {}
    for _ in range(int(seconds / 0.5)):
        page.wait_for_timeout(500)
        for at, shot_ in shots[len(images) :]:
            whole = cv2.imdecode(np.frombuffer(base64.b64decode(shot_), np.uint8), cv2.IMREAD_COLOR)
            left, top, wide, tall = (round(box[key]) for key in ("x", "y", "width", "height"))
            images[at] = np.asarray(whole[top : top + tall, left : left + wide], np.uint8)
        if enough([images[at] for at in sorted(images)]):
            break
    session.send("Page.stopScreencast")
    session.detach()
    return [images[at] for at in sorted(images)]


def edge_in(image: Image, width: int = WIDTH) -> float | None:
    """Where the left edge of the box is, in pixels of the camera's picture; None where there is no box."""
    scale = image.shape[1] / width
    rows = image[round((TOP + SIDE * 0.4) * scale) : round((TOP + SIDE * 0.6) * scale)].astype(int)
    found = (np.abs(rows - GREEN).max(axis=2) < 90).mean(axis=0) > 0.7
    return float(np.flatnonzero(found)[0] / scale) if found.any() else None


def decoded_png(png: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def numbers_in(images: list[Image]) -> list[int]:
    return [number_in(image) for image in images]


def misplaced(images: list[Image]) -> list[tuple[int, float | None]]:
    """Pictures whose box is not there, or more than two pixels away."""
    found = [(number_in(image), edge_in(image)) for image in images]
    return [(number, edge) for number, edge in found if edge is None or abs(edge - left_of(number)) > 2]


def passed(images: list[Image]) -> int:
    """How many pictures of the camera lie between the first and the last that the screen showed."""
    return sum((after - before) % 300 for before, after in itertools.pairwise(numbers_in(images)))


@pytest.mark.slow
def test_every_box_stands_on_its_own_picture_on_the_screen(
    numbered: Clip, watch: Callable[..., Watched], page: Any
) -> None:
    page.set_viewport_size({"width": 690, "height": 640})
    with RtspServer({"live": numbered}) as camera:
        watched = watch(camera.url("live"))
        page.goto(watched.web.address)
        page.wait_for_selector("[data-mode=direct][data-pts]")
        page.wait_for_timeout(1500)
        watched.drawn = 0
        images = screencast(page, 25, lambda images: passed(images) >= 300)
    assert passed(images) >= 300
    assert len(set(numbers_in(images))) >= 120
    # A picture may have run out of time for its boxes on a machine that is busy, but may never have another's.
    wrong = misplaced(images)
    assert [(number, edge) for number, edge in wrong if edge is not None] == []
    assert len(wrong) <= len(images) * 0.1
    assert watched.drawn == 0
    assert "jpeg" not in watched.stats.stages()


def first_picture(page: Any) -> float:
    """Milliseconds from opening the WebSocket to the first picture."""
    page.wait_for_function("() => performance.getEntriesByType('measure').length > 0")
    return float(page.evaluate("performance.getEntriesByType('measure')[0].duration"))


def test_a_page_that_comes_late_begins_with_the_kept_keyframe(watch: Callable[..., Watched], page: Any) -> None:
    with RtspServer({"live": clip(90, 90)}) as camera:
        watched = watch(camera.url("live"))
        assert until(lambda: len(watched.captured) > 20)
        page.goto(watched.web.address)
        assert first_picture(page) < 2000
        assert page.locator("[data-camera=door]").get_attribute("data-mode") == "direct"


def paints(page: Any) -> None:
    """Let the page note when each picture was painted."""
    page.evaluate(
        """() => {
            window.painted = []
            const card = document.querySelector('[data-camera=door]')
            const note = () => painted.push([performance.timeOrigin + performance.now(), +card.dataset.pts])
            new MutationObserver(note).observe(card, { attributeFilter: ['data-pts'] })
        }"""
    )


def painted(page: Any) -> list[tuple[float, int]]:
    """When each picture was painted, in milliseconds since 1970, and its stamp."""
    return [(at, int(stamp)) for at, stamp in page.evaluate("painted")]


@pytest.mark.parametrize("what", ["camera", "server"])
def test_pictures_are_back_by_themselves_after_a_restart(
    watch: Callable[..., Watched], page: Any, short: Clip, what: str
) -> None:
    camera = RtspServer({"live": short})
    camera.start()
    try:
        watched = watch(camera.url("live"))
        page.goto(watched.web.address)
        page.wait_for_selector("[data-mode=direct][data-pts]")
        paints(page)
        page.wait_for_timeout(300)
        if what == "camera":
            camera.stop()
            page.wait_for_timeout(300)
            camera.start()
        else:
            watched.restart()
        back = time.time() * 1e3 + 20
        page.wait_for_function("back => painted.some(([at]) => at > back)", arg=back)
        page.wait_for_timeout(400)
        stamps = [stamp for _, stamp in painted(page)]
        assert what == "server" or len(stamps) == len(set(stamps))
        assert page.locator(".stale").count() == 0
    finally:
        camera.stop()


def test_a_browser_without_webcodecs_gets_painted_jpegs(
    numbered: Clip, watch: Callable[..., Watched], page: Any
) -> None:
    page.add_init_script("delete window.VideoDecoder")
    with RtspServer({"live": numbered}) as camera:
        watched = watch(camera.url("live"))
        page.goto(watched.web.address)
        page.wait_for_selector("[data-mode=jpeg][data-seq]")
        assert until(lambda: watched.drawn > 10)
        assert page.locator(".mode").inner_text() == "JPEG"


@pytest.mark.parametrize("kind", ["hevc", "turned"])
def test_what_the_browser_cannot_show_right_comes_as_jpeg(
    tmp_path: Path, watch: Callable[..., Watched], page: Any, kind: str
) -> None:
    path = tmp_path / "door.mp4"
    options = {"x265-params": "keyint=20:log-level=none"}
    write_file(path, pictures(90), encoder="libx265" if kind == "hevc" else "libx264", **options)
    if kind == "turned":
        path = turned(path)
    watched = watch(str(path), paced=True, loop=True)
    page.goto(watched.web.address)
    page.wait_for_selector("[data-mode=jpeg][data-seq]")
    page.wait_for_timeout(1200)
    assert page.locator("[data-camera=door]").get_attribute("data-mode") == "jpeg"


def test_pictures_that_come_out_of_order_are_shown_in_order_with_their_boxes(
    tmp_path: Path, watch: Callable[..., Watched], page: Any
) -> None:
    page.set_viewport_size({"width": 690, "height": 640})
    path = write_file(tmp_path / "door.mp4", pictures(180), bf="2", g="30")
    watched = watch(str(path), paced=True, loop=True)
    page.goto(watched.web.address)
    page.wait_for_selector("[data-mode=direct][data-pts]")
    page.wait_for_timeout(1500)
    paints(page)
    images = screencast(page, 5, lambda images: len(images) > 60)
    stamps = [stamp for _, stamp in painted(page)]
    assert stamps == sorted(stamps)
    assert len(images) > 30
    assert misplaced(images) == []


@pytest.mark.slow
def test_pictures_that_the_detector_leaves_out_are_passed_over(
    numbered: Clip, watch: Callable[..., Watched], page: Any
) -> None:
    page.set_viewport_size({"width": 690, "height": 640})
    with RtspServer({"live": numbered}) as camera:
        watched = watch(camera.url("live"), detects=lambda frame: frame.seq % 3 == 0)
        page.goto(watched.web.address)
        page.wait_for_selector("[data-mode=direct][data-pts]")
        page.wait_for_timeout(1500)
        images = screencast(page, 5, lambda images: len(images) > 30)
        assert len(images) > 20
        assert misplaced(images) == []
        page.keyboard.press("b")
        assert page.get_by_role("button", name="Boxes").get_attribute("aria-pressed") == "false"
        paints(page)
        page.wait_for_timeout(1000)
        assert len(painted(page)) > 12
        assert edge_in(screencast(page, 2, lambda images: len(images) > 3)[-1]) is None


def canvas(page: Any) -> Image:
    """What stands on the canvas of the camera, in its own pixels."""
    told = page.evaluate("document.querySelector('[data-camera=door] .fit canvas').toDataURL('image/png')")
    return decoded_png(base64.b64decode(told.partition(",")[2]))


def test_a_camera_that_changes_its_size_is_shown_on_with_its_boxes_in_place(
    watch: Callable[..., Watched], page: Any, short: Clip
) -> None:
    large = clip(60, 10, width=1280, height=720)
    sizes = {640: short, 1280: large}
    now = 640

    def change(place: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
        nonlocal now
        if place % 10 == 0:
            now = wanted
        return sizes[now].units[place]

    wanted = 640
    with RtspServer({"live": short}) as camera:
        camera.change = change
        watched = watch(camera.url("live"))
        sockets: list[object] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        page.goto(watched.web.address)
        page.wait_for_selector("[data-mode=direct][data-pts]")
        paints(page)
        for wanted in (1280, 640):
            sized = "wide => document.querySelector('[data-camera=door] .fit canvas').width === wide"
            page.wait_for_function(sized, arg=wanted)
            page.wait_for_timeout(300)
            boxed: dict[int, float] = {}
            for _ in range(200):
                page.wait_for_timeout(60)
                image = canvas(page)
                assert image.shape[1::-1] == (wanted, wanted * 9 // 16)
                if (edge := edge_in(image, wanted)) is not None:
                    boxed[number_in(image)] = edge
                if len(boxed) == 6:
                    break
            assert len(boxed) == 6
            assert [number for number, edge in boxed.items() if abs(edge - left_of(number)) > 2] == []
        stamps = [stamp for _, stamp in painted(page)]
        assert stamps == sorted(stamps)
        assert page.locator("[data-camera=door]").get_attribute("data-mode") == "direct"
        assert page.locator(".stale").count() == 0
        assert len(sockets) == 1
        assert watched.stats.cameras["door"].figures().reconnects == 0


DECODED = """
    const decode = VideoDecoder.prototype.decode
    window.decoded = 0
    VideoDecoder.prototype.decode = function (chunk) { decoded += 1; return decode.call(this, chunk) }
"""


def test_a_hidden_tab_decodes_nothing_and_is_back_at_once(watch: Callable[..., Watched], tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium")
    with RtspServer({"live": clip(300, 60)}) as camera, Tabs(chromium, tmp_path) as tabs:
        watched = watch(camera.url("live"))
        assert until(lambda: len(watched.captured) > 10)
        tab = tabs.open(watched.web.address)
        card = "document.querySelector('[data-camera=door]')"
        assert until(lambda: tab.value(f"{card}?.dataset.pts > 0"))
        tab.value(DECODED)
        assert until(lambda: tab.value("decoded") > 10)
        other = tabs.open("about:blank")
        other.front()
        assert until(lambda: tab.value("document.hidden"))
        assert until(lambda: watched.web.show(View(watched.newest, datetime.now(UTC), watched.draw, True)) is False)
        before = tab.value("decoded")
        time.sleep(1.5)
        assert tab.value("decoded") == before
        stamp = tab.value(f"+{card}.dataset.pts")
        tab.front()
        assert until(lambda: tab.value(f"+{card}.dataset.pts") > stamp)
        assert tab.value("document.hidden") is False


def test_a_slow_page_skips_to_the_next_keyframe_and_others_notice_nothing(
    watch: Callable[..., Watched], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.render.feed.LONGEST", 0.3)
    noise = np.random.default_rng(3).integers(0, 255, (30, 360, 640, 3), np.uint8)
    heavy = encode((stamped(picture, number) for number, picture in enumerate(noise)), 30, 15, 8_000_000)
    with RtspServer({"live": heavy}) as camera:
        watched = watch(camera.url("live"))
        assert until(lambda: len(watched.captured) > 5)
        with looking(watched, 32768) as slow, looking(watched) as brisk:
            slow.send(json.dumps({"direct": ["door"]}))
            told = listened(brisk, 100)
            feeds = [viewer.feed for viewer in watched.web._gallery._viewers]
            assert until(lambda: sum(feed.skips for feed in feeds) >= 1)
            assert all(len(feed._queue) < 60 for feed in feeds)
            late = listened(slow, 40)
    sent = [round((pts - watched.tapped[0][0]) * 1e6) for pts, _ in watched.tapped]
    keys = {stamp for stamp, (_, key) in zip(sent, watched.tapped, strict=True) if key}
    assert told == sent[sent.index(told[0]) :][:100]
    leaps = [after for before, after in itertools.pairwise(late) if sent.index(after) != sent.index(before) + 1]
    assert leaps
    assert set(leaps) <= keys


def looking(watched: Watched, buffer: int = 0) -> Any:
    """A program that looks at the camera's own pictures, with room for so many bytes between it and the server."""
    plug = socket.socket()
    if buffer:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plug.connect(("127.0.0.1", watched.port))
    return connect(f"ws://127.0.0.1:{watched.port}/live", sock=plug, compression=None, max_queue=1, close_timeout=0.2)


def listened(page: Any, count: int) -> list[int]:
    """Stamps of the next pictures."""
    page.send(json.dumps({"direct": ["door"]}))
    stamps: list[int] = []
    while len(stamps) < count:
        message = page.recv(5)
        if isinstance(message, bytes):
            stamps.append(json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])["pts"])
    return stamps


def test_the_whole_program_passes_pictures_on_with_a_word_on_each_and_paints_none(short: Clip) -> None:
    with RtspServer({"live": short}) as camera:
        settings = {"source": camera.url("live")}
        runtime = Runtime(
            Config.model_validate(
                {"cameras": {"door": settings}, "outputs": [{"web": {"port": 0}}], "model": {"download": False}}
            ),
            notice=lambda line: said.append(line),
        )
        said: list[str] = []
        runner = threading.Thread(target=runtime.run)
        runner.start()
        try:
            assert until(lambda: runtime.stats.cameras["door"].figures().inferred > 3, 20)
            address = next(line for line in said if line.startswith("watch on")).split()[-1]
            with connect(f"{address.replace('http', 'ws')}live", compression=None, close_timeout=0.2) as page:
                page.send(json.dumps({"direct": ["door"]}))
                pictures, words = told(page, 60)
        finally:
            runtime.stop()
            runner.join()
    assert len(pictures) == 60
    assert set(pictures[:40]) <= words
    assert runtime.summary()["outputs"]["web"]["shown"] > 0
    assert not {"overlay", "jpeg"} & runtime.stats.stages().keys()


@pytest.mark.parametrize("webcodecs", [True, False])
def test_a_camera_that_is_only_watched_is_shown_without_waiting_for_boxes(
    short: Clip, page: Any, webcodecs: bool
) -> None:
    if not webcodecs:
        page.add_init_script("delete window.VideoDecoder")
    with RtspServer({"live": short}) as camera:
        settings = {
            "cameras": {"door": {"source": camera.url("live"), "detect": {"enabled": False}}},
            "outputs": [{"web": {"port": 0}}],
            "model": {"name": "nowhere.xml"},
        }
        said: list[str] = []
        runtime = Runtime(Config.model_validate(settings), notice=said.append)
        runner = threading.Thread(target=runtime.run)
        runner.start()
        try:
            assert until(lambda: runtime.started)
            page.goto(said[0].split()[-1])
            mode, shown = ("direct", "pts") if webcodecs else ("jpeg", "seq")
            page.wait_for_selector(f"[data-mode={mode}][data-{shown}]")
            first = page.locator("[data-camera=door]").get_attribute(f"data-{shown}")
            newer = "([shown, first]) => +document.querySelector('[data-camera=door]').dataset[shown] > +first"
            page.wait_for_function(newer, arg=[shown, first])
            page.wait_for_function("() => +document.querySelector('.fps').textContent > 1")
            assert page.locator(".people").inner_text() == "not detected"
            assert page.locator("#total").inner_text() == "1 camera, not detected"
            assert "not detected" in page.locator(".picture").get_attribute("aria-label")
            assert page.locator("footer .pill").inner_text() == "LIVE"
            assert page.locator(".stale").count() == 0
            assert ("jpeg" in runtime.stats.stages()) is not webcodecs
        finally:
            runtime.stop()
            runner.join()


def told(page: Any, count: int) -> tuple[list[int], set[int]]:
    """Stamps of the next pictures, and of those about which a word came meanwhile."""
    pictures: list[int] = []
    words: set[int] = set()
    while len(pictures) < count:
        message = page.recv(5)
        if isinstance(message, bytes):
            pictures.append(json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])["pts"])
        elif "pts" in (said := json.loads(message)):
            words.add(said["pts"])
    return pictures, words
