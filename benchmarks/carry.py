"""What boxes carried between detections are worth, beside those of a detector that looks at every picture.

    python -m benchmarks.carry [CLIP ...] [--rates 12.5 8 5 2.5] [--late 0.06] [--seconds 20]

Every picture of a clip, and of the drawn street, is inferred. Then all are left out but those that a slower detector
would take, which answers `--late` seconds after each, and boxes are carried to the others. IoU is that of each
always-on box with the best carried one (0 where there is none), recall the share with an IoU of .5. `next` is the
same for always-on boxes that are one picture old: how much boxes change from one picture to the next by themselves.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.analyze.tracker import Tracker, ious
from pipeline.capture.source import Source
from pipeline.capture.sources.ffmpeg import FfmpegSource
from pipeline.capture.sources.synthetic.source import DemoSource
from pipeline.config.cameras import Capture
from pipeline.config.models import Infer, Model
from pipeline.frames import Detections
from pipeline.infer.backends.openvino.detector import OpenvinoDetector, load
from pipeline.infer.models.catalogue import locate

Looks = list[tuple[float, Detections]]
"""Time in seconds and always-on boxes of each picture."""


def always_on(detector: OpenvinoDetector, source: Source, seconds: float) -> tuple[Looks, tuple[int, int]]:
    """Infer every picture; return their boxes, and width and height in pixels."""
    request = detector.request()
    looks: Looks = []
    size = (0, 0)
    source.open()
    while (sample := source.read()) is not None and (sample.pts or 0.0) < seconds:
        picture = sample.picture
        if picture is None:
            continue
        detector.fill(request, picture)
        request.start_async()
        request.wait()
        size = picture.width, picture.height
        looks.append((sample.pts or 0.0, detector.parse(request, *size, 0.5)))
    source.close()
    return looks, size


def carried(looks: Looks, size: tuple[int, int], rate: float, late_s: float) -> Iterator[Detections]:
    """Yield what a viewer sees on each picture while the detector makes `rate` detections a second."""
    tracker = Tracker()
    due, waiting = looks[0][0], list[tuple[float, Detections]]()
    for seconds, found in looks:
        while waiting and waiting[0][0] + late_s <= seconds:
            then, detections = waiting.pop(0)
            tracker.update(detections, then)
        if seconds >= due - 1e-6:
            waiting.append((seconds, found))
            due = max(due + 1 / rate, seconds)
        yield tracker.at(seconds, *size)


def held(looks: Looks, rate: float, late_s: float) -> Iterator[Detections]:
    """Yield the newest answer as it is, on each picture."""
    newest, due, waiting = Detections.empty(), looks[0][0], list[tuple[float, Detections]]()
    for seconds, found in looks:
        while waiting and waiting[0][0] + late_s <= seconds:
            newest = waiting.pop(0)[1]
        if seconds >= due - 1e-6:
            waiting.append((seconds, found))
            due = max(due + 1 / rate, seconds)
        yield newest


def compare(looks: Looks, shown: Iterator[Detections], skip: int) -> tuple[float, float, float]:
    """Return mean IoU, recall at .5 and the number of boxes shown for each true one, after the first pictures."""
    best, count = [], 0
    for number, ((_, truth), seen) in enumerate(zip(looks, shown, strict=True)):
        if number < skip:
            continue
        count += len(seen)
        if len(truth):
            overlaps = ious(truth.boxes.astype(float), seen.boxes.astype(float))
            best += overlaps.max(axis=1, initial=0.0).tolist()
    values = np.array(best)
    return float(values.mean()), float((values >= 0.5).mean()), count / max(1, len(values))


def main() -> None:
    """Print a table for each clip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--rates", nargs="+", type=float, default=[12.5, 8.0, 5.0, 2.5])
    parser.add_argument("--late", type=float, default=0.06)
    parser.add_argument("--seconds", type=float, default=20.0)
    chosen = parser.parse_args()
    detector = load(locate(Model()), Infer(), "latency")
    print(detector.report())
    sources: dict[str, Callable[[], Source]] = {"drawn street": lambda: DemoSource(live=False)}
    for clip in chosen.clips:
        sources[clip.name] = lambda clip=clip: FfmpegSource(str(clip), Capture())  # type: ignore[misc]
    for name, make in sources.items():
        looks, size = always_on(detector, make(), chosen.seconds)
        step = (looks[-1][0] - looks[0][0]) / (len(looks) - 1)
        people = sum(len(each) for _, each in looks) / len(looks)
        print(f"\n{name}: {len(looks)} pictures, {1 / step:.1f} a second, {people:.1f} boxes a picture")
        before = compare(looks, iter([Detections.empty(), *(each for _, each in looks[:-1])]), 10)
        print(f"next               IoU {before[0]:.3f}  recall {before[1]:.3f}")
        for rate in chosen.rates:
            skip = int(2 / (rate * step)) + 10
            begun = time.perf_counter()
            moved = compare(looks, carried(looks, size, rate, chosen.late), skip)
            cost_ms = (time.perf_counter() - begun) / len(looks) * 1e3
            still = compare(looks, held(looks, rate, chosen.late), skip)
            print(
                f"{rate:4.1f} a second carried IoU {moved[0]:.3f} ({moved[0] / before[0]:.3f} of next)  "
                f"recall {moved[1]:.3f}  shown {moved[2]:.2f}   "
                f"held IoU {still[0]:.3f}  recall {still[1]:.3f}   {cost_ms:.2f} ms a picture"
            )


if __name__ == "__main__":
    main()
