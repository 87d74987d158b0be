"""Streams out: read back by others, and harmless whatever the server does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.draw.primitives import colour
from pipeline.errors import ConfigError
from pipeline.frames import Image, Packet, Presentation
from pipeline.outputs.stream import publisher
from pipeline.outputs.stream.child import HEAD
from pipeline.outputs.stream.output import StreamOutput
from pipeline.outputs.stream.settings import Stream
from pipeline.stats.registry import Stats
from tests.support import marked
from tests.support.clips import Clip, encode, number_in
from tests.support.outputs import context
from tests.support.scenes import Scene, share
from tests.support.servers.sink import RtspSink
from tests.support.wait import HANG_S, until

START = b"\0\0\0\1"
Start = Callable[[str, Callable[[], None]], None]


@pytest.fixture(scope="module")
def clip() -> Clip:
    """Three seconds of numbered pictures, a keyframe every half second."""
    return encode(marked.pictures(90, 320, 180), 30, 15)


@pytest.fixture
def sink() -> Iterator[RtspSink]:
    with RtspSink() as running:
        yield running


class Feed:
    """Sends numbered packets in their own time."""

    def __init__(self, take: Callable[[Packet], None], clip: Clip, start: Start, padding: int = 0) -> None:
        self.sent: list[float] = []
        self._stop = threading.Event()
        self._take, self._clip, self._padding = take, clip, START + b"\x0c" + b"\xff" * padding if padding else b""
        start("feed", self._run)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(max(0.0, began + len(self.sent) / 30 - time.monotonic())):
            number = len(self.sent)
            data = b"".join(START + unit for unit in self._clip.units[number % 90]) + self._padding
            at = number / 30
            begun = time.monotonic()
            self.sent.append(begun)
            self._take(Packet("door", "h264", data, number % 15 == 0, at, at, begun, 320, 180))

    def stop(self) -> None:
        self._stop.set()


@contextmanager
def streaming(start: Start, address: str, boxes: str = "no") -> Iterator[StreamOutput]:
    stats = Stats(["door"])
    settings = Stream.model_validate({"address": address, "boxes": boxes})
    output = StreamOutput(settings, context(stats, start))
    output.stats = stats  # type: ignore[attr-defined]
    output.open()
    try:
        yield output
    finally:
        output.close()


def state(output: StreamOutput) -> str:
    told = output.stats.told().get("stream", {})  # type: ignore[attr-defined]
    return next(iter(told.values()), "")


def decoded(pictures: list[bytes]) -> list[Image]:
    decoder = av.CodecContext.create("h264", "r")
    frames = [frame for data in pictures for frame in decoder.decode(av.Packet(data))]
    return [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in [*frames, *decoder.decode(None)]]


def test_untouched_packets_arrive_in_time(crew: Start, clip: Clip, sink: RtspSink) -> None:
    with streaming(crew, sink.address) as output:
        assert output.takes_packets
        feed = Feed(output.packet, clip, crew)
        assert until(lambda: len(sink.pictures) >= 45)
        assert state(output) == "live"
        numbers = [number_in(picture) for picture in decoded(sink.pictures[:45])]
        assert numbers == [(numbers[0] + index) % 90 for index in range(45)]
        assert sink.pictures[30] == b"".join(START + unit for unit in clip.units[numbers[30]])
        feed.stop()
    assert until(lambda: sink.verbs[-1] == "TEARDOWN")


def test_boxes_are_burnt_in_and_a_keyframe_comes_each_second(crew: Start, scene: Scene, sink: RtspSink) -> None:
    with streaming(crew, sink.address, "burnt") as output:
        assert not output.takes_packets

        def more() -> bool:
            output.show(scene.view(scene.result(320, 180)))
            scene.clock.seconds += 0.1
            return len(sink.pictures) >= 35

        assert until(more)
    pictures = decoded(sink.pictures)
    assert share(pictures[-1][60:150, 80:81], colour("person"), 60) > 0.7
    keys = [at for at, data in enumerate(sink.pictures) if START + b"\x65" in data or b"\0\0\1\x65" in data]
    assert keys[:3] == [0, 10, 20]


def test_pictures_that_are_to_be_turned_are_encoded_upright(crew: Start, scene: Scene, sink: RtspSink) -> None:
    turned = Packet("door", "h264", b"data", True, 0.0, 0.0, 0.0, 180, 320, Presentation(90))
    with streaming(crew, sink.address) as output:
        output.packet(turned)
        assert output.needs_frames("door")

        def more() -> bool:
            output.show(scene.view(scene.result(320, 180)))
            output.packet(turned)
            scene.clock.seconds += 0.1
            return len(sink.pictures) >= 5

        assert until(more)
    assert decoded(sink.pictures)[-1].shape == (180, 320, 3)
    assert scene.drawn == 0


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="there is no ffmpeg to read the stream back")
@pytest.mark.parametrize("scheme", ["rtsp", "rtmp"])
def test_ffmpeg_reads_the_stream_back(
    crew: Start, scene: Scene, tmp_path: Path, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"{scheme}://127.0.0.1:{port}/live/door"
    listen = (
        ["-rtsp_flags", "listen"] if scheme == "rtsp" else ["-analyzeduration", "500000", "-f", "flv", "-listen", "1"]
    )
    seconds = float(os.environ.get("LOOKOUT_READ_BACK", "2"))
    path = tmp_path / "read.mkv"
    reader = subprocess.Popen(
        ["ffmpeg", "-v", "error", *listen, "-i", address, "-t", str(seconds), "-c", "copy", path],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with streaming(crew, address, "burnt") as output:

            def more() -> bool:
                scene.clock.seconds += 1 / 30
                output.show(scene.view(scene.result(320, 180)))
                time.sleep(1 / 30)
                return reader.poll() is not None

            assert until(more)
    finally:
        reader.kill()
        _, said = reader.communicate()
    with av.open(str(path)) as container:
        pictures = [(frame.time, frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]
    times = [at or 0.0 for at, _ in pictures]
    assert times[-1] - times[0] > seconds - 0.5, said
    assert max(np.diff(times)) < 0.5
    assert all(share(picture[60:150, 80:81], colour("person"), 60) > 0.6 for _, picture in pictures)


def test_a_stalled_server_is_left(crew: Start, clip: Clip, sink: RtspSink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "STEP_TIMEOUT_S", 1.0)
    with streaming(crew, sink.address) as output:
        assert output.takes_packets
        feed = Feed(output.packet, clip, crew, padding=60_000)
        assert until(lambda: state(output) == "live" and len(sink.pictures) > 5)
        sink.stalled = True
        assert until(lambda: state(output).startswith("offline (timed out), next try in"))
        sink.stalled = False
        count = len(sink.pictures)
        assert until(lambda: state(output) == "live" and len(sink.pictures) > count + 15)
        feed.stop()


def test_a_server_that_stalls_delays_nothing_and_not_the_end(
    crew: Start, clip: Clip, sink: RtspSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever waited for the server would wait for longer than this test does.
    monkeypatch.setattr(publisher, "STEP_TIMEOUT_S", 2 * HANG_S)
    with streaming(crew, sink.address) as output:
        assert output.takes_packets
        feed = Feed(output.packet, clip, crew, padding=200_000)
        assert until(lambda: len(sink.pictures) > 5)
        sink.stalled = True
        # More than the pipe, both sockets and the backlog together can hold.
        count = len(feed.sent)
        assert until(lambda: len(feed.sent) > count + 60)
        assert state(output) == "live"
        feed.stop()
    assert until(lambda: not [each for each in threading.enumerate() if each.name == "stream-door"])


def test_a_late_and_a_killed_server_get_the_stream_again(crew: Start, clip: Clip) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    sink = RtspSink(port=port)
    with streaming(crew, sink.address) as output:
        assert output.takes_packets
        feed = Feed(output.packet, clip, crew)
        assert until(lambda: state(output).startswith("offline (refused), next try in"))
        for _ in range(2):
            sink.pictures.clear()
            sink.start()
            assert until(lambda: len(sink.pictures) > 20)
            sink.stop()
            assert until(lambda: state(output).startswith("offline ("))
            numbers = [number_in(picture) for picture in decoded(sink.pictures[:20])]
            assert numbers == [(numbers[0] + index) % 90 for index in range(20)]
        feed.stop()


@pytest.mark.parametrize(
    ("verb", "status", "reason"),
    [("ANNOUNCE", "403 Forbidden", "unauthorized"), ("SETUP", "404 Not Found", "not found")],
)
def test_a_server_that_refuses_is_told(crew: Start, clip: Clip, verb: str, status: str, reason: str) -> None:
    with RtspSink() as sink:
        sink.status[verb] = status
        with streaming(crew, sink.address) as output:
            assert output.takes_packets
            feed = Feed(output.packet, clip, crew)
            assert until(lambda: state(output).startswith(f"offline ({reason}), next try in"))
            feed.stop()


def test_the_login_works_and_is_shown_nowhere(crew: Start, clip: Clip) -> None:
    with RtspSink(user="me", password="canary77") as sink, streaming(crew, sink.address) as output:
        assert output.takes_packets
        feed = Feed(output.packet, clip, crew)
        assert until(lambda: len(sink.pictures) > 3)
        children = Path(f"/proc/{os.getpid()}/task")
        lines = [
            Path(f"/proc/{child}/cmdline").read_bytes()
            for task in children.iterdir()
            for child in (task / "children").read_text().split()
        ]
        assert any(b"child.py" in line for line in lines)
        assert not any(b"canary77" in line for line in lines)
        assert "canary77" not in json.dumps(output.stats.told())  # type: ignore[attr-defined]
        feed.stop()


def test_the_process_ends_with_its_parent_even_while_it_is_stalled(clip: Clip, sink: RtspSink) -> None:
    order = json.dumps({"address": sink.address, "codec": "h264", "patience": 1.0}).encode() + b"\n"
    script = Path(publisher.__file__).with_name("child.py")
    command = [sys.executable, "-P", str(script)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(order)
    padding = START + b"\x0c" + b"\xff" * 200_000
    for number in range(200):
        data = b"".join(START + unit for unit in clip.units[number % 90]) + padding
        sink.stalled = number > 3
        try:
            child.stdin.write(HEAD.pack(number % 15 == 0, number * 3000, number * 3000, len(data)) + data)
        except BrokenPipeError:
            break
    assert child.wait(HANG_S) == -14
    sink.stalled = False
    child.stdin.close()
    child.stdout.close()


def test_one_address_for_several_cameras_is_a_mistake_in_the_configuration(crew: Start) -> None:
    with pytest.raises(ConfigError) as caught:
        StreamOutput(Stream(address="rtsp://me:canary77@server/live"), context(Stats(["door", "yard"]), crew))
    expected = "must contain {camera} because there are 2 cameras, got 'rtsp://***@server/live'"
    assert str(caught.value) == f"outputs.stream.address: {expected}"
