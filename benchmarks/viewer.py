"""What watching costs: the cameras' own pictures beside MJPEG, in the same run, with 0, 1 and 8 viewers.

    python -m benchmarks.viewer [--seconds 8] [--rounds 3]

An RTSP camera is read, decoded and served by one process, whose CPU time is measured; boxes come 20 to 40 ms after
each picture from a stand-in, so that no detection disturbs the count. The viewers live in other processes: one
Chromium for the age in the page, programs that read everything for the count. Needs chromium.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipeline.capture.worker import CaptureWorker
from pipeline.concurrency.queues import Funnel
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.cameras import Camera, Overlay
from pipeline.draw.overlay import OverlayPainter
from pipeline.frames import Detections, Frame, Result
from pipeline.outputs.protocols import OutputContext, View
from pipeline.stats.registry import Stats
from pipeline.web.output import WebOutput
from pipeline.web.settings import Web
from tests.support.clips import Clip, encode, street
from tests.support.servers.rtsp import RtspServer

DELAYS = (0.020, 0.040)
SIZES = {"480p30": (854, 480, 1_500_000), "720p30": (1280, 720, 3_000_000)}
"""Width, height and bits a second."""
NOTE_AGES = """() => {
    window.ages = []
    const card = document.querySelector('[data-camera]')
    const note = () => ages.push(+card.dataset.age)
    new MutationObserver(note).observe(card, { attributeFilter: ['data-pts', 'data-seq'] })
}"""


class Server:
    """A camera with its page and a stand-in for the detector; ends when its standard input does."""

    def __init__(self, address: str) -> None:
        self.halt = threading.Event()
        self.intake: Funnel[Frame] = Funnel()
        self.crew = ThreadGroup(self.halt.set)
        self.stats = Stats(["camera"])
        cameras = {"camera": Camera(source=address)}
        self.web = WebOutput(Web(port=0, quality=80), OutputContext(cameras, self.stats, self.crew.start))
        self.overlay = OverlayPainter(Overlay(), self.stats.cameras["camera"], self.stats.clock)
        self.camera = CaptureWorker(
            "camera",
            cameras["camera"],
            self.intake.lane(30, latest=True),
            self.stats.cameras["camera"],
            self.halt,
            paced=False,
            clock=self.stats.clock,
            tap=self.web.packet,
        )

    def run(self) -> None:
        """Serve, and print the port and then, for every line that comes in, the CPU seconds used so far."""
        self.web.open()
        self.crew.start("capture-camera", self.camera.run)
        self.crew.start("infer", self.detect)
        sys.stdout.write(f"{self.web.address}\n")
        sys.stdout.flush()
        for _ in sys.stdin:
            sys.stdout.write(f"{time.process_time()} {time.monotonic()}\n")
            sys.stdout.flush()
        self.halt.set()
        self.intake.close(discard=True)
        self.web.close()
        self.crew.join(3)

    def detect(self) -> None:
        """Three boxes for every picture, in time."""
        random = np.random.default_rng(5)
        waiting: deque[tuple[float, Frame]] = deque()
        while not self.halt.is_set():
            left = waiting[0][0] - time.monotonic() if waiting else 0.2
            frame = self.intake.get(max(0.0, left))
            if frame is not None:
                due = frame.captured + random.uniform(*DELAYS)
                waiting.append((max(due, waiting[-1][0] if waiting else 0.0), frame))
            while waiting and waiting[0][0] <= time.monotonic():
                self.deliver(waiting.popleft()[1])

    def deliver(self, frame: Frame) -> None:
        """Hand on one result as the runtime does."""
        left = 100.0 + frame.seq * 4 % 300
        boxes = np.array([[left + 90 * n, 120, left + 90 * n + 60, 300] for n in range(3)], np.float32)
        found = Detections(boxes, np.array([0.9, 0.8, 0.7], np.float32), np.zeros(3, np.int32), ("person",))
        result = Result(frame, found)
        self.stats.cameras["camera"].inferred(3, frame.captured)
        self.web.on_result(result)
        if self.web.show(View(result, datetime.now(UTC), self.overlay.draw, True)):
            self.stats.cameras["camera"].shown(frame.captured)


class Meter:
    """The serving process, seen from outside."""

    def __init__(self, address: str) -> None:
        command = [sys.executable, "-m", "benchmarks.viewer", "--serve", address]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.address = self.line()

    def line(self) -> str:
        """What it says next."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def reading(self) -> tuple[float, float]:
        """CPU seconds so far, and when."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        used, at = self.line().split()
        return float(used), float(at)

    def load(self, seconds: float) -> float:
        """Per cent of a core over so many seconds."""
        used, at = self.reading()
        time.sleep(seconds)
        then, later = self.reading()
        return 100 * (then - used) / (later - at)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


async def read_direct(address: str, counts: list[int], place: int) -> None:
    """A program that takes the camera's own pictures."""
    from websockets.asyncio.client import connect

    async with connect(address.replace("http", "ws") + "live", compression=None, max_size=None) as socket:
        await socket.send(json.dumps({"direct": ["camera"]}))
        async for message in socket:
            counts[place] += len(message)


async def read_mjpeg(address: str, counts: list[int], place: int) -> None:
    """A program that takes MJPEG."""
    host, port = address.removeprefix("http://").strip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 22)
    writer.write(f"GET /cameras/camera/stream.mjpg HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    while data := await reader.read(1 << 18):
        counts[place] += len(data)


def readers(kind: str, address: str, count: int) -> None:
    """Read as so many viewers until standard input ends; then print the bytes a second of one."""

    async def read() -> None:
        counts = [0] * count
        body = read_direct if kind == "direct" else read_mjpeg
        tasks = [asyncio.ensure_future(body(address, counts, place)) for place in range(count)]
        begun = time.monotonic()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        sys.stdout.write(f"{sum(counts) / count / (time.monotonic() - begun)}\n")
        for task in tasks:
            task.cancel()

    asyncio.run(read())


@contextmanager
def viewers(kind: str, address: str, count: int) -> Iterator[list[float]]:
    """So many viewers for a while; afterwards the kilobits a second of one."""
    rate: list[float] = []
    command = [sys.executable, "-m", "benchmarks.viewer", "--read", kind, address, str(count)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)
    yield rate
    said, _ = process.communicate()
    rate.append(float(said) * 8 / 1000)


def in_page(address: str, seconds: float, without: bool) -> dict[str, float]:
    """First picture, and age of pictures when painted, in Chromium; `without` WebCodecs if so wanted."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport={"width": 900, "height": 700})
        if without:
            page.add_init_script("delete window.VideoDecoder")
        firsts = []
        for _ in range(5):
            page.goto(address)
            page.wait_for_function("() => performance.getEntriesByType('measure').length")
            firsts.append(page.evaluate("performance.getEntriesByType('measure')[0].duration"))
        page.wait_for_timeout(1500)
        page.evaluate(NOTE_AGES)
        page.wait_for_timeout(seconds * 1000)
        ages = page.evaluate("ages")
        browser.close()
    p50, p95 = np.percentile(ages, (50, 95))
    return {"first": statistics.median(firsts), "p50": p50, "p95": p95, "fps": len(ages) / seconds}


def compare(name: str, clip: Clip, seconds: float, rounds: int) -> None:
    """All loads of one size, in turn, so that what else the machine does falls on all of them alike."""
    with RtspServer({"live": clip}) as camera:
        meter = Meter(camera.url("live"))
        time.sleep(2)
        loads: dict[str, list[float]] = {}
        rates: dict[str, float] = {}
        for _ in range(rounds):
            loads.setdefault("nobody", []).append(meter.load(seconds))
            for kind in ("direct", "mjpeg"):
                for count in (1, 8):
                    with viewers(kind, meter.address, count) as rate:
                        loads.setdefault(f"{kind} {count}", []).append(meter.load(seconds))
                    rates[kind] = rate[0]
        shown: dict[str, Any] = {
            kind: in_page(meter.address, seconds, without=kind == "jpeg") for kind in ("direct", "jpeg")
        }
        meter.close()
    middle = {key: statistics.median(each) for key, each in loads.items()}
    print(f"{name}: nobody {middle['nobody']:.2f} % of a core", flush=True)
    for kind in ("direct", "mjpeg"):
        one, eight = middle[f"{kind} 1"], middle[f"{kind} 8"]
        extra, further = one - middle["nobody"], (eight - one) / 7
        print(f"  {kind}: first viewer +{extra:.2f} %, each further +{further:.2f} %, {rates[kind]:.0f} kbit/s each")
    for kind, told in shown.items():
        print(
            f"  page, {kind}: first picture {told['first']:.0f} ms after the connection, age when painted "
            f"p50 {told['p50']:.0f} p95 {told['p95']:.0f} ms, {told['fps']:.1f} pictures a second"
        )
    print(f"  all rounds: { {key: [round(load, 2) for load in each] for key, each in loads.items()} }", flush=True)


def main() -> None:
    """Measure both sizes and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs=3, metavar=("KIND", "ADDRESS", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        Server(options.serve).run()
    elif options.read:
        readers(options.read[0], options.read[1], int(options.read[2]))
    else:
        for name, (width, height, bitrate) in SIZES.items():
            clip = encode(street(120, width, height), 30, 30, bitrate)
            compare(name, clip, options.seconds, options.rounds)


if __name__ == "__main__":
    main()
