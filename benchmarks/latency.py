"""A 720p30 RTSP camera from arrival to overlay done, beside synchronous inference on the same machine.

    python -m benchmarks.latency [--seconds 20] [--rounds 3] [--model person-detection-0202] [--show auto]

With `--show exact` every picture waits for its own boxes, with `live` none does. Arrival is the moment FFmpeg hands
over the compressed picture; the time to unpack it counts.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from benchmarks.throughput import Painted
from pipeline.config.models import Infer, Model
from pipeline.config.root import Config
from pipeline.infer.backends.openvino.detector import load
from pipeline.infer.models.catalogue import locate
from pipeline.outputs.dispatch import OutputWorker
from pipeline.runtime.runtime import Runtime
from tests.support.clips import encode, street
from tests.support.servers.rtsp import RtspServer


def synchronous(model: str, count: int, fps: float = 0.0) -> float:
    """Median milliseconds of one inference alone: one after another, or `fps` times a second as cameras ask."""
    detector = load(locate(Model(name=model)), Infer(), "latency")
    request = detector.request()
    detector.input(request)[:] = np.random.default_rng(0).integers(
        0, 255, (detector.height, detector.width, 3), np.uint8
    )
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        request.infer()
        times.append(time.perf_counter() - begun)
        if fps:
            time.sleep(max(0.0, 1 / fps - times[-1]))
    return statistics.median(times[10:]) * 1e3


class EveryPicture(Painted):
    """The same for an output that shows what the camera sees."""

    every_picture = True


def camera(url: str, model: str, seconds: float, show: str) -> tuple[list[float], Runtime]:
    """Milliseconds from arrival to overlay done of every frame after the first two seconds."""
    source = {"source": url, "detect": {"show": show}}
    config = Config.model_validate({"cameras": {"camera": source}, "model": {"name": model}, "outputs": []})
    runtime = Runtime(config)
    outlet = OutputWorker(EveryPicture(), runtime.stats)
    runtime.start((), outlet)
    times: list[float] = []
    first = 0.0
    for view in outlet.views:
        outlet.show(view)
        now = time.monotonic()
        first = first or now
        if now - first > 2.0:
            times.append((now - view.result.frame.captured + view.result.frame.decode) * 1e3)
        if now - first > seconds + 2.0:
            break
    outlet.views.close(discard=True)
    runtime.finish()
    return times, runtime


def main() -> None:
    """Measure the rounds and print percentiles and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="person-detection-0202")
    parser.add_argument("--show", choices=("auto", "live", "exact"), default="auto")
    options = parser.parse_args()
    clip = encode(street(300, 1280, 720), fps=30, keyframe_every=30)
    ratios = []
    with RtspServer({"live": clip}) as server:
        for number in range(options.rounds):
            alone, paced = synchronous(options.model, 200), synchronous(options.model, 120, 30.0)
            times, runtime = camera(server.url("live"), options.model, options.seconds, options.show)
            p50, p95, p99 = np.percentile(times, (50, 95, 99))
            ratios.append(p95 / alone)
            counted = runtime.summary()["cameras"]["camera"]
            print(
                f"round {number + 1}: synchronous {alone:.1f} ms, at 30 a second {paced:.1f} ms; "
                f"arrival to overlay p50 {p50:.1f} p95 {p95:.1f} "
                f"p99 {p99:.1f} ms of {len(times)} frames, {len(times) / options.seconds:.1f} a second, "
                f"inferred {counted['inferred']}, dropped {counted['dropped']}; p95 ratio {ratios[-1]:.2f}",
                flush=True,
            )
    print(f"median p95 ratio {statistics.median(ratios):.2f}")
    for stage, spread in runtime.summary()["stages"].items():
        print(f"  {stage:16} p50 {spread['p50']:8.3f} ms  p95 {spread['p95']:8.3f} ms")


if __name__ == "__main__":
    main()
