"""Memory of cameras that come and go: two RTSP cameras whose connections are cut again and again.

    python -m benchmarks.flapping [--faults 200] [--pause 1.0] [--trace]

The program records both, makes HLS of them and has a page that looks at both, as its own pictures and as JPEG. Each cut
is one fault; the next comes `pause` seconds after both cameras are live again. Printed are the resident memory by the
number of faults, its slope over the second half, and with --trace what Python itself holds more of than a third of the
way before: what grows without standing there is held by libraries.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
from websockets.sync.client import connect

from benchmarks.soak import slope
from tests.support.clips import encode, street
from tests.support.servers.proxy import Proxy
from tests.support.servers.rtsp import RtspServer

_PROGRAM = """
import gc, sys, threading, tracemalloc
from pipeline.cli import main
from pipeline.concurrency import backoff
backoff.HEALTHY_S = 0.0
def watch():
    before = None
    for line in sys.stdin:
        gc.collect()
        now = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__)])
        print(f"traced {sum(each.size for each in now.traces) / 1e6:.2f} MB", flush=True)
        for each in now.compare_to(before, "lineno")[:12] if before else ():
            print(f"  {each.size_diff / 1e3:+9.1f} kB {each.count_diff:+6} {each.traceback}", flush=True)
        before = before or now
threading.Thread(target=watch, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""
"""The command line, which tries again at once after every loss, and tells on a line of input what Python holds."""


def cameras(address: str) -> list[dict[str, object]]:
    """How the cameras are."""
    with urllib.request.urlopen(f"{address}api/cameras", timeout=30) as answer:
        return list(json.load(answer)["cameras"])


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    while not condition():
        time.sleep(0.05)


class Watching:
    """A page of both cameras, and a player of HLS, each until the end."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._done = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._page, self._player)]
        for each in self._threads:
            each.start()

    def _page(self) -> None:
        with connect(f"ws{self._address[4:]}live", max_size=None) as page:
            page.send(json.dumps({"direct": ["door"], "watch": ["yard"]}))
            while not self._done.is_set():
                with suppress(TimeoutError):
                    message = page.recv(0.5)
                    if isinstance(message, bytes) and b'"seq"' in message[:200]:
                        page.send('{"seen": "yard"}')

    def _player(self) -> None:
        while not self._done.wait(0.5):
            for camera in ("door", "yard"):
                with suppress(OSError), urllib.request.urlopen(f"{self._address}hls/{camera}/live.m3u8") as answer:
                    newest = re.findall(r"^\d+\.m4s$", answer.read().decode(), re.MULTILINE)[-1:]
                    for name in newest:
                        urllib.request.urlopen(f"{self._address}hls/{camera}/{name}").read()

    def close(self) -> None:
        """Look no more."""
        self._done.set()
        for each in self._threads:
            each.join()


def main() -> None:
    """Cut, count and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--pause", type=float, default=1.0)
    parser.add_argument("--trace", action="store_true")
    options = parser.parse_args()
    clip = encode(street(60, 640, 360), 30, 15)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        camera = stack.enter_context(RtspServer({"live": clip}))
        proxies = [Proxy(camera.port), Proxy(camera.port)]
        for each in proxies:
            each.start()
            stack.callback(each.stop)
        sources = [camera.url("live").replace(f":{camera.port}", f":{each.port}") for each in proxies]
        told = [f"cameras.{name}.source={source}" for name, source in zip(("door", "yard"), sources, strict=True)]
        told += ["detect=false"]
        told += [
            f"outputs=[web: 0, hls: {{boxes: no}}, record: {{path: '{folder}/{{camera}}-{{time}}.mp4', boxes: no}}]"
        ]
        settings = [part for each in told for part in ("--set", each)]
        traced = ["-X", "tracemalloc=1"] if options.trace else []
        command = [sys.executable, *traced, "-c", _PROGRAM, "run"]
        program = subprocess.Popen([*command, *settings], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        stack.callback(program.terminate)
        assert program.stderr is not None
        assert program.stdin is not None
        line = ""
        while not line.startswith("watch on"):
            line = program.stderr.readline()
            assert line, "the program has ended"
        threading.Thread(target=program.stderr.read, daemon=True).start()
        address = line.split()[-1]
        seen, points = psutil.Process(program.pid), []
        watching = Watching(address)
        stack.callback(watching.close)
        for fault in range(options.faults):
            wait_for(lambda: all(each["state"] == "live" for each in cameras(address)))
            time.sleep(options.pause)
            points.append((float(fault), seen.memory_info().rss / 1e6))
            if fault % max(1, options.faults // 10) == 0:
                print(f"{fault:5} faults {points[-1][1]:7.1f} MB", flush=True)
                if options.trace:
                    program.stdin.write("\n")
                    program.stdin.flush()
            before = [each["reconnects"] for each in cameras(address)]
            proxies[fault % 2].reset()
            wait_for(lambda: [each["reconnects"] for each in cameras(address)] != before)  # noqa: B023
        half = points[len(points) // 2 :]
        print(f"slope of the second half {slope(half) * 100:.3f} MB in 100 faults")


if __name__ == "__main__":
    main()
