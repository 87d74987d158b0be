"""What recordings and streams cost: CPU of a process that reads one camera, with each of them and with none.

python -m benchmarks.outputs [--seconds 12] [--rounds 2]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

from pipeline.capture.worker import CaptureWorker
from pipeline.concurrency.queues import Funnel
from pipeline.concurrency.threads import ThreadGroup
from pipeline.config.outputs import OutputSettings
from pipeline.config.root import Config
from pipeline.draw.overlay import OverlayPainter
from pipeline.frames import Detections, Frame, Result
from pipeline.outputs.dispatch import OutputWorker, packet_tap
from pipeline.outputs.protocols import OutputContext, View
from pipeline.outputs.record.settings import Record
from pipeline.outputs.stream.settings import Stream
from pipeline.runtime.outputs import open_output
from pipeline.stats.registry import Stats

OUTPUTS = ("none", "record beside", "record burnt", "stream no", "stream burnt")
BOX = [[300, 200, 380, 480], [600, 180, 690, 500], [900, 220, 960, 430]]
SINK = "from tests.support.servers.sink import RtspSink; RtspSink(port={}).start()"


def watch(address: str, what: str, server: int, seconds: float, folder: Path) -> None:
    """Read the camera with one output for so long, as the program does but without detecting; print % of a core."""
    kind, _, boxes = what.partition(" ")
    whole = Config.model_validate({"cameras": {"door": address}})
    stats = Stats(["door"])
    crew = ThreadGroup(lambda: None)
    outlets = []
    settings: OutputSettings
    if kind == "record":
        path = str(folder / f"{boxes}-{{time}}.mp4")
        settings = Record.model_validate({"path": path, "boxes": boxes, "free": 0})
    elif kind == "stream":
        settings = Stream.model_validate({"address": f"rtsp://127.0.0.1:{server}/door", "boxes": boxes})
    if kind != "none":
        context = OutputContext(whole.cameras, stats, crew.start, packet_cameras=frozenset(whole.cameras))
        outlets.append(OutputWorker(open_output(settings, context), stats))
        outlets[0].output.open()
        crew.start("output", outlets[0].run)
    overlay = OverlayPainter(whole.cameras["door"].overlay, stats.cameras["door"], stats.clock)
    frames: Funnel[Frame] = Funnel()
    stopping = threading.Event()
    camera = CaptureWorker(
        "door",
        whole.cameras["door"],
        frames.lane(1, latest=True),
        stats.cameras["door"],
        stopping,
        paced=False,
        clock=stats.clock,
        tap=packet_tap(outlets),
    )
    crew.start("capture", camera.run)
    found = Detections(np.array(BOX, np.float32), np.full(3, 0.9, np.float32), np.zeros(3, np.int32), ("person",))
    process = psutil.Process()
    measured = (0.0, 0.0)
    count = 0
    began = time.monotonic()
    while (now := time.monotonic()) - began < seconds + 3:
        frame = frames.get(1.0)
        if frame is None:
            continue
        for outlet in outlets:
            view = View(Result(frame, found), datetime.now(UTC), lambda result: overlay.draw(result, True), True)
            outlet.put(view)
        count += 1
        if not measured[0] and now - began > 3:
            measured, count = (now, spent(process)), 0
    share = 100 * (spent(process) - measured[1]) / (time.monotonic() - measured[0])
    print(f"{share:.2f} {count / seconds:.1f}", flush=True)
    stopping.set()
    for outlet in outlets:
        outlet.views.close(discard=True)
    crew.join(3)


def spent(process: psutil.Process) -> float:
    """Seconds of CPU of a process and of the children it has now."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def main() -> None:
    """Measure each output several times, in turns, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--watch", nargs=4, metavar=("ADDRESS", "OUTPUT", "PORT", "FOLDER"))
    options = parser.parse_args()
    if options.watch:
        address, what, port, folder = options.watch
        watch(address, what, int(port), options.seconds, Path(folder))
        return
    shares: dict[str, list[float]] = {what: [] for what in OUTPUTS}
    camera = subprocess.Popen(
        [sys.executable, "-m", "tests.support.servers.rtsp", "demo"], stdout=subprocess.PIPE, text=True
    )
    server = subprocess.Popen([sys.executable, "-c", SINK.format(8555)])
    try:
        assert camera.stdout is not None
        address = camera.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            for what in OUTPUTS * options.rounds:
                command = [sys.executable, "-m", "benchmarks.outputs", "--seconds", str(options.seconds)]
                done = subprocess.run(
                    [*command, "--watch", address, what, "8555", folder], capture_output=True, text=True
                )
                share, rate = map(float, done.stdout.split())
                shares[what].append(share)
                print(f"{what:14} {share:6.2f} % of a core at {rate:.1f} fps", flush=True)
    finally:
        camera.kill()
        server.kill()
    base = statistics.median(shares["none"])
    for what, each in shares.items():
        middle = statistics.median(each)
        print(f"{what:14} median {middle:6.2f} %, {middle - base:+.2f} % beside none")


if __name__ == "__main__":
    main()
