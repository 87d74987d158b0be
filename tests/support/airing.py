"""A page's server that hands out HLS of pictures made by hand, each with its number, and what players read from it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import av
import numpy as np

from pipeline.capture.decode.pictures import ArrayPicture
from pipeline.clock import Clock
from pipeline.config.cameras import Overlay
from pipeline.frames import Frame, Image, Packet, Result
from pipeline.outputs.hls.live_stream import HlsStream
from pipeline.outputs.hls.output import HlsOutput
from pipeline.outputs.hls.settings import Hls
from tests.support.clips import Clip, number_in, stamped
from tests.support.clock import ManualClock
from tests.support.outputs import context
from tests.support.serving import Answer, Serving, Start

START = b"\0\0\0\1"
WIDTH, HEIGHT = 320, 180


class Airing(Serving):
    """The same with an output hls; its clock stands still unless one is given, as `pace` needs it."""

    def __init__(
        self,
        start: Start,
        cameras: tuple[str, ...] = ("door",),
        boxes: str = "burnt",
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        clock = clock or ManualClock()
        self.start = start
        self.hls_streams = {name: HlsStream(clock) for name in cameras}
        super().__init__(start, cameras, hls_streams=self.hls_streams, clock=clock, **settings)
        hls = Hls.model_validate({"boxes": boxes})
        self.output = HlsOutput(hls, context(self.stats, start, hls_streams=self.hls_streams))
        self.number = 0
        self.size = WIDTH, HEIGHT
        self.captured: dict[int, float] = {}
        """Monotonic seconds of each picture, by its number."""
        self._halt = threading.Event()
        self.paused = threading.Event()

    def picture(self, camera: str = "door") -> bool:
        """Give the next picture; True if somebody looks."""
        scene = self.scenes[camera]
        plain = scene.result(*self.size, age=0)
        image = stamped(np.full((self.size[1], self.size[0], 3), 90, np.uint8), self.number % 4096)
        frame = Frame(camera, self.number, self.number / 30, plain.frame.captured, ArrayPicture(image))
        result = Result(frame, plain.detections)
        self.captured[self.number % 4096] = frame.captured
        self.number += 1
        scene.settings = Overlay(title=False)
        view = scene.view(result)
        self.web.show(view)
        shown = self.output.show(view)
        scene.camera.captured()
        scene.camera.inferred(1, frame.captured)
        self.output.poll()
        return shown

    def burst(self, count: int, camera: str = "door") -> None:
        """Give so many pictures at once, as a file does that plays as fast as it can."""
        self.hls_streams[camera].admit("burst")
        self.scenes[camera].live = False
        for _ in range(count):
            self.picture(camera)

    def packet(self, clip: Clip, every: int, camera: str = "door") -> None:
        """Give the next compressed picture of a clip with a keyframe each `every` pictures."""
        assert self.output.takes_packets
        number = self.number
        data = b"".join(START + unit for unit in clip.units[number % len(clip.units)])
        now = self.stats.clock.monotonic()
        self.captured[number % len(clip.units)] = now
        self.scenes[camera].camera.captured()
        self.scenes[camera].camera.inferred(1, now)
        at = number / 30
        self.output.packet(Packet(camera, "h264", data, number % every == 0, at, at, now, WIDTH, HEIGHT))
        self.number += 1
        self.output.poll()

    def pace(self, give: Callable[[], object] | None = None) -> None:
        """Give pictures 30 times a second from now on, except while `paused`."""
        step = give or self.picture

        def run() -> None:
            due = time.monotonic()
            while not self._halt.wait(max(0.0, due - time.monotonic())):
                due += 1 / 30
                if self.paused.is_set():
                    due = time.monotonic() + 1 / 30
                    self.output.poll()
                else:
                    step()

        self.start("feed", run)

    def address(self, camera: str = "door") -> str:
        """Where its stream is, as the page tells."""
        path = self.web._stream_path(camera)
        assert path is not None
        return path

    def close(self) -> None:
        self._halt.set()
        self.output.close()
        self.web.close()


def segments(playlist: str) -> list[tuple[float, str]]:
    """Seconds and name of each whole segment that a playlist lists."""
    return [(float(length), name) for length, name in re.findall(r"#EXTINF:([\d.]+),\n(\S+)", playlist)]


def parts(playlist: str) -> list[tuple[float, str, bool]]:
    """Seconds and name of each part that a playlist lists, and whether decoding can start there."""
    found = re.findall(r'#EXT-X-PART:DURATION=([\d.]+),URI="(\S+?)"(,INDEPENDENT=YES)?', playlist)
    return [(float(length), name, bool(key)) for length, name, key in found]


def value(playlist: str, tag: str) -> str:
    """What follows a tag."""
    found = re.search(rf"^#EXT-X-{tag}:(.*)$", playlist, re.MULTILINE)
    assert found, playlist
    return found[1]


def fetched(ask: Callable[[str], Answer], address: str) -> bytes:
    """Head and all whole segments of a stream, as one file."""
    playlist = ask(urljoin(address, "live.m3u8"))[2].decode()
    names = [value(playlist, "MAP").split('"')[1], *(name for _, name in segments(playlist))]
    return b"".join(ask(urljoin(address, name))[2] for name in names)


def decoded(file: Any) -> list[tuple[float, Image]]:
    """Time and picture of all that FFmpeg finds in a file or at an address, read to its end."""
    with av.open(file) as container:
        return [
            (float(frame.time or 0.0), np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
            for frame in container.decode(video=0)
        ]


def numbers(pictures: list[tuple[float, Image]]) -> list[int]:
    """The numbers in pictures."""
    return [number_in(image) for _, image in pictures]
