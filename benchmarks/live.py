"""Live faults in numbers: how soon a stall is seen, how soon a camera is back, and what 2,000 reconnects leave behind.

    python -m benchmarks.live [--minutes 10] [--only ages stalls recovery reconnects stops calm]

Stalls and recovery are measured beside OpenCV's VideoCapture loop and PyAV with its defaults, on the same streams.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks.rivals import Opencv, Pyav
from benchmarks.soak import slope
from pipeline.capture.source import Sample
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.capture.worker import CaptureWorker
from pipeline.clock import SystemClock
from pipeline.concurrency.backoff import HEALTHY_S
from pipeline.concurrency.queues import Funnel
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.cameras import Camera as CameraSettings
from pipeline.config.cameras import Capture
from pipeline.config.root import Config
from pipeline.errors import SourceError
from pipeline.frames import Frame
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.protocols import Output, View
from pipeline.runtime.runtime import Runtime
from pipeline.stats.camera import State
from pipeline.stats.registry import Stats
from tests.support.clips import Clip, encode, number_in, street
from tests.support.servers.rtsp import RtspServer

FPS = 15
KEYFRAME = 2.0
PATIENCE = 40.0


class Reader:
    """One camera of Lookout on its own, with the newest picture at hand."""

    def __init__(
        self,
        url: str,
        clock: SystemClock | None = None,
        source: FfmpegSource | None = None,
        pause: float = 0.0,
        ages: list[float | None] | None = None,
        **capture: Any,
    ) -> None:
        """`pause` is how many seconds the reader takes for a picture, `ages` hears how old each was when it came."""
        self._pause = pause
        self._ages = ages
        self.stats = Stats(["camera"], clock).cameras["camera"]
        self.stopping = threading.Event()
        self.newest: Frame | None = None
        self._frames: Funnel[Frame] = Funnel()
        self.lane = self._frames.lane(1, latest=True, dropped=lambda frame, reason: self.stats.dropped(reason))
        settings = CameraSettings(source=url, capture=Capture.model_validate(capture))
        self.camera = CaptureWorker(
            "camera",
            settings,
            self.lane,
            self.stats,
            self.stopping,
            paced=False,
            clock=clock or SystemClock(),
            source=source or FfmpegSource(url, settings.capture, self.stopping),
        )
        self._crew = ThreadGroup(lambda: None)
        self._crew.start("capture", self.camera.run)
        self._crew.start("look", self._look)

    def states(self) -> list[State]:
        return [change.state for change in self.stats.changes()]

    def live(self) -> bool:
        return self.stats.figures().state is State.LIVE

    def ended(self) -> bool:
        """Whether it knows that no picture comes."""
        return self.stats.figures().state not in (State.LIVE, State.CONNECTING)

    def stop(self) -> list[str]:
        self.stopping.set()
        self._frames.close(discard=True)
        return self._crew.join(5)

    def _look(self) -> None:
        for frame in self._frames:
            self.newest = frame
            if self._ages is not None:
                self._ages.append(time.monotonic() - frame.captured)
            time.sleep(self._pause)


class Painted(Output):
    """An output that is seen by nobody: it has the overlay drawn and keeps when each camera was last shown."""

    name = "painted"

    def __init__(self) -> None:
        self.captured: dict[str, float] = {}
        self.shown: dict[str, float] = {}

    def open(self) -> None:
        """Nothing to do."""

    def show(self, view: View) -> bool:
        """Have it drawn."""
        view.annotated()
        frame = view.result.frame
        self.captured[frame.camera], self.shown[frame.camera] = frame.captured, time.monotonic()
        return True

    def poll(self) -> bool:
        """Go on."""
        return True

    def close(self) -> None:
        """Nothing to do."""


def until(true: Callable[[], bool], seconds: float) -> float | None:
    """How long it took to become true; None if it did not."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > seconds:
            return None
        time.sleep(0.01)
    return time.monotonic() - begun


def told(times: list[float | None], limit: float = PATIENCE) -> str:
    """A row of times in words."""
    known = sorted(each for each in times if each is not None)
    if not known:
        return f"never in {len(times)} (within {limit:.0f} s)"
    p95 = float(np.percentile(known, 95))
    missing = f", never in {len(times) - len(known)}" if len(known) < len(times) else ""
    return f"p50 {statistics.median(known):.3f} p95 {p95:.3f} max {known[-1]:.3f} s of {len(known)}{missing}"


def stalls(clip: Clip) -> None:
    """Pictures stop while the connection and its reports go on."""
    with ExitStack() as stack:
        servers = [stack.enter_context(RtspServer({"live": clip})) for _ in range(20)]
        readers = [Reader(server.url("live")) for server in servers]
        rivals: list[Any] = [kind(servers[0].url("live")) for kind in (Opencv, Pyav)]
        everyone = [*readers, *rivals]
        until(lambda: all(each.live() for each in everyone), 30)
        time.sleep(3)
        seen: list[float | None] = [None] * len(everyone)
        begun = time.monotonic()
        for server in servers:
            server.stalled = True
        while time.monotonic() - begun < PATIENCE and None in seen:
            for place, each in enumerate(everyone):
                if seen[place] is None and each.ended():
                    seen[place] = time.monotonic() - begun
            time.sleep(0.01)
        for server in servers:
            server.stop()
        for each in everyone:
            each.stop()
    ours = seen[: len(readers)]
    good = sum(each is not None and each <= 3.5 for each in ours)
    print(f"stall seen          Lookout  {told(ours)}; within 3.5 s: {good} of {len(ours)}")
    print(f"                    OpenCV   {told(seen[-2:-1])}")
    print(f"                    PyAV     {told(seen[-1:])}", flush=True)


def recovery(clip: Clip, rounds: int, at_once: int = 10) -> None:
    """The server is killed and comes back after a second, each time after half a minute of health."""
    back: list[float | None] = []
    theirs: dict[str, list[float | None]] = {"OpenCV": [], "PyAV": []}
    with ExitStack() as stack:
        servers = [stack.enter_context(RtspServer({"live": clip})) for _ in range(at_once)]
        cameras = {f"c{number}": {"source": server.url("live")} for number, server in enumerate(servers)}
        config = Config.model_validate({"cameras": cameras, "model": {"download": False}, "outputs": []})
        runtime = Runtime(config)
        painted = Painted()
        outlet = OutputWorker(painted, runtime.stats)
        runtime.start((), outlet)
        crew = ThreadGroup(lambda: None)
        crew.start("painted", outlet.run)
        rivals = {"OpenCV": Opencv(servers[0].url("live")), "PyAV": Pyav(servers[0].url("live"))}
        until(lambda: len(painted.shown) == at_once, 30)
        for _ in range(rounds):
            time.sleep(HEALTHY_S + 2)
            for server in servers:
                server.stop()
            time.sleep(1)
            began = time.monotonic()
            for server in servers:
                server.start()
            first: dict[str, float] = {}
            while time.monotonic() - began < 15 and len(first) < at_once + len(rivals):
                now = time.monotonic()
                for name, captured in list(painted.captured.items()):
                    if captured > began:
                        first.setdefault(name, painted.shown[name] - began)
                for name, rival in rivals.items():
                    if rival.last > began:
                        first.setdefault(name, now - began)
                time.sleep(0.005)
            back += [first.get(name) for name in cameras]
            for name, times in theirs.items():
                times.append(first.get(name))
        outlet.views.close(discard=True)
        runtime.finish()
        for server in servers:
            server.stop()
        for each in rivals.values():
            each.stop()
        crew.join(5)
    within = sum(each is not None and each <= 2 + KEYFRAME for each in back)
    print(f"back after a kill   Lookout  {told(back, 15)}; within {2 + KEYFRAME:.0f} s: {within} of {len(back)}")
    for name, times in theirs.items():
        print(f"                    {name:8} {told(times, 15)}", flush=True)


def calm(clip: Clip, minutes: float) -> None:
    """Keyframes each 2 s, pictures held for 1 s now and then and sent in a burst, and cameras that are slow."""
    stills = encode(street(20, 320, 180), FPS, 1)
    slow = {f"{fps:g} fps": Clip(stills.units, fps, stills.sps, stills.pps) for fps in (1.0, 0.2)}
    ages: list[float] = []
    with ExitStack() as stack:
        bursting = [stack.enter_context(RtspServer({"live": clip})) for _ in range(4)]
        steady = [stack.enter_context(RtspServer({"live": each})) for each in slow.values()]
        readers = [Reader(server.url("live")) for server in (*bursting, *steady)]
        until(lambda: all(each.live() for each in readers[:4]), 30)
        ends = time.monotonic() + minutes * 60
        gaps = 0
        while time.monotonic() < ends:
            time.sleep(2)
            for server in bursting:
                server.held = True
            time.sleep(1 if gaps % 2 else 2)
            for server in bursting:
                server.held = False
            gaps += 1
            time.sleep(2)
            ages += [age(server, reader, clip) for server, reader in zip(bursting, readers[:4], strict=True)]
        alarms = [state.value for reader in readers for state in reader.states()[2:]]
        for each in readers:
            each.stop()
    print(f"false alarms        {len(alarms)} in {minutes:g} min of 4 cameras with {gaps} gaps of 1 or 2 s each")
    print(f"                    and cameras of {' and '.join(slow)} {sorted(set(alarms)) or ''}")
    p95 = float(np.percentile(ages, 95))
    good = sum(each <= 0.2 for each in ages)
    print(
        f"age 2 s after each  p50 {statistics.median(ages) * 1e3:.0f} p95 {p95 * 1e3:.0f} max {max(ages) * 1e3:.0f} ms"
    )
    print(f"                    within 200 ms: {good} of {len(ages)}", flush=True)


def ages(seconds: float = 20.0) -> None:
    """A 720p30 camera through the whole program; then a reader who takes ten times as long as a picture lasts."""
    clip = encode(street(90, 1280, 720), 30, 30)
    with RtspServer({"live": clip}) as server:
        cameras = {"camera": {"source": server.url("live")}}
        runtime = Runtime(Config.model_validate({"cameras": cameras, "model": {"download": False}, "outputs": []}))
        painted = Painted()
        outlet = OutputWorker(painted, runtime.stats)
        runtime.start((), outlet)
        crew = ThreadGroup(lambda: None)
        crew.start("painted", outlet.run)
        until(lambda: bool(painted.shown), 30)
        time.sleep(2)
        sampled: list[float | None] = []
        took: dict[float, float | None] = {}
        due = time.monotonic()
        while len(sampled) < seconds * 100:
            due += 0.01
            time.sleep(max(0.0, due - time.monotonic()))
            captured = painted.captured["camera"]
            sampled.append(time.monotonic() - captured)
            took[captured] = painted.shown["camera"] - captured
        outlet.views.close(discard=True)
        runtime.finish()
        crew.join(5)
        slow: list[float | None] = []
        reader = Reader(server.url("live"), pause=10 / 30, ages=slow)
        until(lambda: len(slow) >= 30, 60)
        reader.stop()
    print(f"capture to overlay  {told(list(took.values()))}")
    print(f"age, 100 a second   {told(sampled)}")
    print(f"age to slow reader  {told(slow)}, taking 0.33 s for each", flush=True)


def age(server: RtspServer, reader: Reader, clip: Clip) -> float:
    """Seconds by which the newest picture at hand is behind what the camera sees, from the number in the picture."""
    frame = reader.newest
    if frame is None:
        return PATIENCE
    number = number_in(frame.picture.bgr())
    due = int((time.monotonic() - server.began) * clip.fps)
    return (due - number) % len(clip.units) / clip.fps


class Hasty(SystemClock):
    """A clock that never waits between tries."""

    def wait(self, event: threading.Event, seconds: float) -> bool:
        return event.is_set()


class Cut(FfmpegSource):
    """A camera whose connection is cut after each first picture."""

    cuts = 0
    _pictures = False
    leaked: list[bytes] | None = None

    def read(self) -> Sample | None:
        sample = super().read()
        if self._pictures:
            self.cuts += 1
            if self.leaked is not None:
                self.leaked.append(os.urandom(4096))
            raise SourceError("cut", "ended")
        self._pictures = True
        return sample

    def open(self) -> None:
        self._pictures = False
        super().open()


def reconnect(url: str, count: int, leak: bool) -> None:
    """The body of a process of its own: reconnect that often and print the figures."""
    import psutil

    me = psutil.Process()
    source = Cut(url, Capture())
    source.leaked = [] if leak else None
    reader = Reader(url, Hasty(), source)
    points: list[tuple[float, float]] = []
    rest: list[tuple[int, int]] = []
    while source.cuts < count:
        reached = source.cuts
        if not points or reached >= points[-1][0] + 10:
            points.append((float(reached), me.memory_info().rss / 1024))
            rest.append((me.num_threads(), me.num_fds()))
        time.sleep(0.005)
    lost = reader.stop()
    half = points[len(points) // 3 :]
    threads, files = (statistics.mode(each) for each in zip(*rest[3:], strict=True))
    end = f"{me.num_threads()} threads and {me.num_fds()} files after the stop"
    most = f"{max(each[0] for each in rest[3:])} and {max(each[1] for each in rest[3:])} at most"
    print(f"{slope(half):.2f} kB each; {threads} threads, {files} files all along, {most}; {end}{', '.join(lost)}")


def reconnects(count: int) -> None:
    """The camera in a process of its own, so that only the reader is measured."""
    clip_port = _free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.live", "--serve", str(clip_port)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    try:
        for leak, times in ((False, count), (True, max(200, count // 2))):
            command = [sys.executable, "-m", "benchmarks.live", "--reconnect", url, str(times), str(int(leak))]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            name = "with a leak of 4 kB" if leak else f"{times} reconnects"
            print(f"{name:19} {done.stdout.strip()}", flush=True)
    finally:
        server.kill()
        server.wait()


def stops(clip: Clip, count: int) -> None:
    """The stop in every state, a camera behind a black hole included."""
    took: list[float] = []
    with RtspServer({"live": clip}) as server, RtspServer({"live": clip}) as mute, socket.socket() as hole:
        mute.mute = {"DESCRIBE"}
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        dead = f"rtsp://127.0.0.1:{hole.getsockname()[1]}/live"
        stuck = socket.create_connection(hole.getsockname())
        urls = [server.url("live"), mute.url("live"), dead, "rtsp://127.0.0.1:1/live", "rtsp://camera.invalid/live"]
        for number in range(count // len(urls)):
            readers = [Reader(url) for url in urls]
            server.stalled = bool(number % 2)
            time.sleep(0.1 + number % 7 / 7)
            for each in readers:
                begun = time.monotonic()
                left = each.stop()
                took.append(PATIENCE if left else time.monotonic() - begun)
        stuck.close()
    within = sum(each <= 2 for each in took)
    print(f"stop in any state   {told(list(took))}; within 2 s: {within} of {len(took)}", flush=True)


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def main() -> None:
    """Run what is asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reconnects", type=int, default=2000)
    everything = ["ages", "stalls", "recovery", "reconnects", "stops", "calm"]
    parser.add_argument("--only", nargs="*", choices=everything, default=everything)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--reconnect", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reconnect:
        url, count, leak = options.reconnect
        return reconnect(url, int(count), leak == "1")
    if options.serve is not None:
        clip = encode(street(60, 320, 180), 60, 1)
        with RtspServer({"live": clip}, port=options.serve) as server:
            print(server.url("live"), flush=True)
            threading.Event().wait()
    clip = encode(street(round(4 * FPS), 320, 180), FPS, round(KEYFRAME * FPS))
    parts: dict[str, Callable[[], None]] = {
        "ages": ages,
        "stalls": lambda: stalls(clip),
        "recovery": lambda: recovery(clip, options.rounds),
        "reconnects": lambda: reconnects(options.reconnects),
        "stops": lambda: stops(clip, 200),
        "calm": lambda: calm(clip, options.minutes),
    }
    for name in options.only:
        parts[name]()
    return None


if __name__ == "__main__":
    main()
