"""The cameras' own pictures in a real browser: every box on its own picture, and back soon after every trouble."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import math
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

from pipeline.config.root import Config
from pipeline.frames import Image, Packet
from pipeline.outputs.protocols import View
from pipeline.runtime.runtime import Runtime
from pipeline.stats.camera import State
from pipeline.web.passthrough import TimestampMap
from tests.support.clips import Clip, encode, number_in, stamped, write_file
from tests.support.marked import SIDE, TOP, WIDTH, Watched, clip, left_of, pictures, turned
from tests.support.servers.rtsp import RtspServer
from tests.support.serving import Serving
from tests.support.tabs import Tabs
from tests.support.wait import HANG_S, until

Error = pytest.importorskip("playwright.sync_api").Error
Start = Callable[[str, Callable[[], None]], None]
GREEN = np.array((160, 245, 0))
REFUSED = "net::ERR_CONNECTION_REFUSED"
"""What a browser says in its console of a server that is not there."""


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


def screencast(page: Any, enough: Callable[[list[Image]], bool]) -> list[Image]:
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

    def seen() -> bool:
        page.wait_for_timeout(100)
        for at, shot_ in shots[len(images) :]:
            whole = cv2.imdecode(np.frombuffer(base64.b64decode(shot_), np.uint8), cv2.IMREAD_COLOR)
            assert whole is not None
            left, top, wide, tall = (round(box[key]) for key in ("x", "y", "width", "height"))
            images[at] = np.asarray(whole[top : top + tall, left : left + wide], np.uint8)
        return enough([images[at] for at in sorted(images)])

    assert until(seen)
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


def several(images: list[Image]) -> bool:
    """Whether so many pictures were seen with a box that a wrong one among them would have shown."""
    return len({number_in(image) for image in images if edge_in(image) is not None}) >= 30


def misplaced(images: list[Image]) -> list[tuple[int, float]]:
    """Pictures whose box is more than two pixels away."""
    found = [(number_in(image), edge_in(image)) for image in images]
    return [(number, edge) for number, edge in found if edge is not None and abs(edge - left_of(number)) > 2]


def bare(images: list[Image]) -> int:
    """How many pictures of the camera were seen without a box."""
    return len({number_in(image) for image in images if edge_in(image) is None})


WORDS = """
    window.words = new Map()
    window.painted = []
    const Plain = WebSocket
    window.WebSocket = class extends Plain {
        constructor(...all) {
            super(...all)
            this.addEventListener('message', ({ data }) => {
                const said = typeof data === 'string' ? JSON.parse(data) : {}
                if (said.pts !== undefined) words.set(said.pts, said.boxes ? 'boxes' : 'missed')
            })
        }
    }
    let began = 0
    const frame = () => {
        began = performance.now()
        requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
    new MutationObserver((changes) => {
        if (!changes.some(({ target }) => target.matches('[data-camera=door]'))) return
        const stamp = +document.querySelector('[data-camera=door]').dataset.pts
        painted.push([stamp, words.get(stamp) ?? 'none', began, performance.now()])
    }).observe(document, { subtree: true, attributeFilter: ['data-pts'] })
"""
"""Lets a page note each picture that it paints: its stamp, what was known of it by then, and when painting began and
had ended, in milliseconds."""


def paints(page: Any) -> list[tuple[int, str, float, float]]:
    """What the page has painted so far."""
    return [(int(stamp), word, began, ended) for stamp, word, began, ended in page.evaluate("painted")]


def wordless(page: Any) -> int:
    """How many pictures were painted for which no boxes had come by then: those that a slow machine makes wait."""
    return sum(word != "boxes" for _, word, _, _ in paints(page))


def opened(page: Any, watched: Watched) -> None:
    """Open the page and wait until boxes come with the camera's own pictures."""
    page.add_init_script(WORDS)
    page.goto(watched.web.address)
    page.wait_for_selector("[data-mode=direct][data-pts]")
    page.wait_for_function("() => painted.filter(([, word]) => word === 'boxes').length > 5")


@pytest.mark.slow
def test_every_box_stands_on_its_own_picture_on_the_screen(
    numbered: Clip, watch: Callable[..., Watched], page: Any
) -> None:
    page.set_viewport_size({"width": 690, "height": 640})
    with RtspServer({"live": numbered}) as camera:
        watched = watch(camera.url("live"))
        opened(page, watched)
        watched.drawn = 0
        images = screencast(page, lambda images: several(images) and len(set(numbers_in(images))) >= 45)
        assert misplaced(images) == []
        # A picture may have run out of time for its boxes on a machine that is busy, but for no other reason.
        assert bare(images) <= wordless(page)
    assert watched.drawn == 0
    assert "jpeg" not in watched.stats.stages()


def test_a_page_that_comes_late_begins_with_the_kept_keyframe(watch: Callable[..., Watched], page: Any) -> None:
    with RtspServer({"live": clip(60, 60)}) as camera:
        keys = iter([True])
        # After its first keyframe the camera gives no other.
        camera.change = lambda place, units: units if place or next(keys, False) else ()
        watched = watch(camera.url("live"))
        assert until(lambda: len(watched.captured) > 10)
        page.goto(watched.web.address)
        page.wait_for_function("() => performance.getEntriesByType('measure').length > 0")
        assert page.locator("[data-camera=door]").get_attribute("data-mode") == "direct"
        assert sum(key for _, key in watched.tapped) == 1


@pytest.mark.parametrize("what", ["camera", "server"])
def test_pictures_are_back_by_themselves_after_a_restart(
    watch: Callable[..., Watched], page: Any, allowed: list[str], short: Clip, what: str
) -> None:
    if what == "server":
        allowed.append(REFUSED)
    camera = RtspServer({"live": short})
    camera.start()
    try:
        watched = watch(camera.url("live"))
        sockets: list[Any] = []
        page.on("websocket", lambda each: sockets.append(each))
        opened(page, watched)
        if what == "camera":
            camera.stop()
            assert until(lambda: watched.stats.cameras["door"].figures().state is State.OFFLINE)
            newest = watched.tapped[-1][0]
            camera.start()
            page.wait_for_function("newest => painted.filter(([stamp]) => stamp > newest).length > 5", arg=newest)
            stamps = [stamp for stamp, *_ in paints(page)]
            assert len(stamps) == len(set(stamps))
        else:
            heard: list[object] = []
            page.on("websocket", lambda again: again.on("framereceived", lambda data: heard.append(data)))
            watched.restart()
            assert until(lambda: page.wait_for_timeout(20) or heard)
            page.evaluate("painted.length = 0")
            page.wait_for_function("() => painted.length > 5")
            assert len(sockets) > 1
        page.wait_for_function("() => document.querySelectorAll('.stale').length === 0")
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
    write_file(path, pictures(90), 30, encoder="libx265" if kind == "hevc" else "libx264", **options)
    if kind == "turned":
        path = turned(path)
    watched = watch(str(path), paced=True, loop=True)
    page.goto(watched.web.address)
    page.wait_for_selector("[data-mode=jpeg][data-seq]")
    first = int(page.locator("[data-camera=door]").get_attribute("data-seq"))
    page.wait_for_function("last => +document.querySelector('[data-camera=door]').dataset.seq >= last", arg=first + 15)
    assert page.locator("[data-camera=door]").get_attribute("data-mode") == "jpeg"


def test_pictures_that_come_out_of_order_are_shown_in_order_with_their_boxes(
    tmp_path: Path, watch: Callable[..., Watched], page: Any
) -> None:
    page.set_viewport_size({"width": 690, "height": 640})
    path = write_file(tmp_path / "door.mp4", pictures(180), bf="2", g="30")
    watched = watch(str(path), paced=True, loop=True)
    opened(page, watched)
    images = screencast(page, several)
    stamps = [stamp for stamp, *_ in paints(page)]
    assert stamps == sorted(stamps)
    assert misplaced(images) == []
    assert bare(images) <= wordless(page)


@pytest.mark.slow
def test_pictures_that_the_detector_leaves_out_are_passed_over(
    numbered: Clip, watch: Callable[..., Watched], page: Any
) -> None:
    page.set_viewport_size({"width": 690, "height": 640})
    with RtspServer({"live": numbered}) as camera:
        watched = watch(camera.url("live"), detects=lambda frame: frame.seq % 3 == 0)
        opened(page, watched)
        images = screencast(page, several)
        assert misplaced(images) == []
        painted = paints(page)
        # One without boxes is shown only after a whole second without any with boxes.
        boxed = -math.inf
        for _, word, began, ended in painted[1:]:
            assert word != "missed" or ended - boxed >= 1000
            boxed = began if word == "boxes" else boxed
        assert bare(images) <= wordless(page)
        page.keyboard.press("b")
        assert page.get_by_role("button", name="Boxes").get_attribute("aria-pressed") == "false"
        page.evaluate("painted.length = 0")
        page.wait_for_function("() => painted.filter(([, word]) => word !== 'boxes').length > 12")
        assert edge_in(screencast(page, lambda images: len(images) > 3)[-1]) is None


def canvas(page: Any) -> Image:
    """What stands on the canvas of the camera, in its own pixels."""
    told = page.evaluate("document.querySelector('[data-camera=door] .fit canvas').toDataURL('image/png')")
    return decoded_png(base64.b64decode(told.partition(",")[2]))


def test_a_camera_that_changes_its_size_is_shown_on_with_its_boxes_in_place(
    watch: Callable[..., Watched], page: Any, short: Clip
) -> None:
    large = clip(60, 10, width=960, height=540)
    sizes = {640: short, 960: large}
    now = 640

    def change(place: int, units: tuple[bytes, ...]) -> tuple[bytes, ...]:
        nonlocal now
        if place % 10 == 0:
            now = wanted
        return sizes[now].units[place]

    wanted = 640
    with RtspServer({"live": short}) as camera:
        camera.change = change
        watched = watch(camera.url("live"), read_timeout=HANG_S, stall_timeout=HANG_S)
        sockets: list[object] = []
        page.on("websocket", lambda socket: sockets.append(socket))
        opened(page, watched)
        for wanted in (960, 640):
            sized = "wide => document.querySelector('[data-camera=door] .fit canvas').width === wide"
            page.wait_for_function(sized, arg=wanted)
            boxed: dict[int, float] = {}

            def several_boxed(wanted: int = wanted, boxed: dict[int, float] = boxed) -> bool:
                page.wait_for_timeout(20)
                image = canvas(page)
                assert image.shape[1::-1] == (wanted, wanted * 9 // 16)
                if (edge := edge_in(image, wanted)) is not None:
                    boxed[number_in(image)] = edge
                return len(boxed) == 6

            assert until(several_boxed)
            assert [number for number, edge in boxed.items() if abs(edge - left_of(number)) > 2] == []
        stamps = [stamp for stamp, *_ in paints(page)]
        assert stamps == sorted(stamps)
        assert page.locator("[data-camera=door]").get_attribute("data-mode") == "direct"
        page.wait_for_function("() => document.querySelectorAll('.stale').length === 0")
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
        newest = watched.newest
        assert newest is not None
        assert until(lambda: watched.web.show(View(newest, datetime.now(UTC), watched.draw, True)) is False)
        before, count = tab.value("decoded"), len(watched.tapped)
        assert until(lambda: len(watched.tapped) > count + 30)
        assert tab.value("decoded") == before
        stamp = tab.value(f"+{card}.dataset.pts")
        tab.front()
        assert until(lambda: tab.value(f"+{card}.dataset.pts") > stamp)
        assert tab.value("document.hidden") is False


def test_a_slow_page_skips_to_the_next_keyframe_and_others_notice_nothing(
    serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.web.limits.MAX_QUEUE_WAIT_S", 0.3)
    noise = np.random.default_rng(3).integers(0, 255, (15, 360, 640, 3), np.uint8)
    heavy = encode((stamped(picture, number) for number, picture in enumerate(noise)), 30, 15, 8_000_000)
    served = serve(token=None)
    keys: set[int] = set()
    sent: list[int] = []
    told: list[int] = []
    late: list[int] = []
    stamps = TimestampMap()

    with looking(served, 32768) as slow, looking(served) as brisk:
        queues = [viewer.queue for viewer in served.web._viewers._viewers]

        def give() -> None:
            """One more picture, of which the brisk page is waited for."""
            number, now = len(sent), served.stats.clock.monotonic()
            data = b"".join(b"\0\0\0\1" + unit for unit in heavy.units[number % 15])
            packet = Packet("door", "h264", data, number % 15 == 0, number / 30, number / 30, now, 640, 360)
            sent.append(stamps.assign(packet))
            if packet.key:
                keys.add(sent[-1])
            served.web.packet(packet)
            told.append(picture(brisk, HANG_S))

        def skipped() -> bool:
            give()
            return sum(queue.skips for queue in queues) >= 1

        def gone_on() -> bool:
            give()
            with contextlib.suppress(TimeoutError):
                while True:
                    late.append(picture(slow, 0))
            return sent[-1] in late

        assert until(skipped)
        assert until(gone_on)
    assert told == sent
    leaps = [after for before, after in itertools.pairwise(late) if sent.index(after) != sent.index(before) + 1]
    assert leaps
    assert set(leaps) <= keys


@contextlib.contextmanager
def looking(served: Serving, buffer: int = 0) -> Iterator[Any]:
    """A program that looks at the camera's own pictures, with room for so many bytes between it and the server."""
    plug = socket.socket()
    if buffer:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    plug.connect(("127.0.0.1", served.port))
    address = f"ws://127.0.0.1:{served.port}/live"
    with connect(address, sock=plug, compression=None, max_queue=1, close_timeout=0.2) as page:
        viewers = served.web._viewers._viewers
        before = sum("door" in each.queue.cameras for each in list(viewers))
        page.send(json.dumps({"direct": ["door"]}))
        assert until(lambda: sum("door" in each.queue.cameras for each in list(viewers)) == before + 1)
        yield page


def picture(page: Any, patience: float) -> int:
    """Stamp of the next picture; TimeoutError where none comes in so many seconds."""
    while isinstance(message := page.recv(patience), str):
        pass
    return int(json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])["pts"])


def test_the_whole_program_passes_pictures_on_with_a_word_on_each_and_paints_none(
    short: Clip, quick_model: Path, monkeypatch: pytest.MonkeyPatch, notices: list[str]
) -> None:
    # However slow this test reads, it is no page that is given up.
    monkeypatch.setattr("pipeline.web.limits.MAX_QUEUE_WAIT_S", HANG_S)
    with RtspServer({"live": short}) as camera:
        settings = {"source": camera.url("live")}
        runtime = Runtime(
            Config.model_validate(
                {"cameras": {"door": settings}, "outputs": [{"web": {"port": 0}}], "model": {"name": str(quick_model)}}
            )
        )
        runner = threading.Thread(target=runtime.run)
        runner.start()
        try:
            assert until(lambda: runtime.stats.cameras["door"].figures().inferred > 3)
            address = next(line for line in notices if line.startswith("watch on")).split()[-1]
            with connect(f"{address.replace('http', 'ws')}live", compression=None, close_timeout=0.2) as page:
                page.send(json.dumps({"direct": ["door"]}))
                pictures = told(page, 40)
        finally:
            runtime.stop()
            runner.join()
    assert len(pictures) >= 40
    assert runtime.summary()["outputs"]["web"]["shown"] > 0
    assert not {"overlay", "jpeg"} & runtime.stats.stages().keys()


@pytest.mark.parametrize("webcodecs", [True, False])
def test_a_camera_that_is_only_watched_is_shown_without_waiting_for_boxes(
    short: Clip, page: Any, webcodecs: bool, notices: list[str]
) -> None:
    if not webcodecs:
        page.add_init_script("delete window.VideoDecoder")
    with RtspServer({"live": short}) as camera:
        settings = {
            "cameras": {"door": {"source": camera.url("live"), "detect": {"enabled": False}}},
            "outputs": [{"web": {"port": 0}}],
            "model": {"name": "nowhere.xml"},
        }
        runtime = Runtime(Config.model_validate(settings))
        runner = threading.Thread(target=runtime.run)
        runner.start()
        try:
            assert until(lambda: runtime.started)
            page.goto(notices[0].split()[-1])
            mode, shown = ("direct", "pts") if webcodecs else ("jpeg", "seq")
            page.wait_for_selector(f"[data-mode={mode}][data-{shown}]")
            first = page.locator("[data-camera=door]").get_attribute(f"data-{shown}")
            newer = "([shown, first]) => +document.querySelector('[data-camera=door]').dataset[shown] > +first"
            page.wait_for_function(newer, arg=[shown, first])
            page.wait_for_function("() => +document.querySelector('.fps').textContent > 1")
            assert page.locator(".people").inner_text() == "detection off"
            assert page.locator("#total").inner_text() == "1 camera, detection off"
            assert "detection off" in page.locator(".picture").get_attribute("aria-label")
            page.locator("footer .pill").get_by_text("LIVE", exact=True).wait_for()
            page.wait_for_function("() => document.querySelectorAll('.stale').length === 0")
            assert ("jpeg" in runtime.stats.stages()) is not webcodecs
        finally:
            page.close()
            runtime.stop()
            runner.join()


def told(page: Any, count: int) -> list[int]:
    """Stamps of the next pictures, read until a word has come on each of the first `count`."""
    pictures: list[int] = []
    words: set[int] = set()
    while len(pictures) < count or not set(pictures[:count]) <= words:
        message = page.recv(HANG_S)
        if isinstance(message, bytes):
            pictures.append(json.loads(message[4 : 4 + int.from_bytes(message[:4], "big")])["pts"])
        elif "pts" in (said := json.loads(message)):
            words.add(said["pts"])
    return pictures
