"""A 720p H.264 file through decode, inference and overlay, beside OpenVINO's benchmark_app, alternating.

    python -m benchmarks.throughput [--pairs 5] [--seconds 10] [--model person-detection-0202]

benchmark_app runs the same IR with the same hint on data that is ready in memory: no decoding, no scaling, no drawing.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.clip import street
from pipeline.config.models import Model
from pipeline.config.root import Config
from pipeline.infer.models.catalogue import locate
from pipeline.outputs.dispatch import OutputWorker
from pipeline.outputs.protocols import Output, View
from pipeline.runtime.runtime import Runtime


class Painted(Output):
    """An output that wants every picture with its overlay and does nothing with it."""

    name = "painted"

    def open(self) -> None: ...

    def show(self, view: View) -> bool:
        view.annotated()
        return True

    def poll(self) -> bool:
        return True

    def close(self) -> None: ...


def ours(clip: Path, model: str, seconds: float) -> tuple[float, dict[str, Any]]:
    """Frames a second of the whole pipeline once it is warm, and its summary."""
    config = Config.model_validate(
        {"cameras": {"clip": {"source": str(clip), "capture": {"loop": True}}}, "model": {"name": model}, "outputs": []}
    )
    runtime = Runtime(config)
    outlet = OutputWorker(Painted(), runtime.stats)
    runtime.start((), outlet)
    shown, begun, ends = 0, 0.0, float("inf")
    for view in outlet.views:
        outlet.show(view)
        now = time.monotonic()
        if not begun and now - runtime.began > 1.5:
            begun, ends = now, now + seconds
        shown += bool(begun)
        if now > ends:
            break
    rate = (shown - 1) / (now - begun)
    outlet.views.close(discard=True)
    runtime.finish()
    return rate, runtime.summary()


def theirs(model: str, seconds: float) -> float:
    """Frames a second that benchmark_app reports."""
    xml = locate(Model(name=model)).xml
    tool = Path(sys.executable).with_name("benchmark_app")
    command = [str(tool), "-m", str(xml), "-d", "CPU", "-hint", "throughput", "-t", f"{seconds:.0f}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Throughput:\s+([\d.]+) FPS", printed)
    if not found:
        raise SystemExit(f"benchmark_app printed no throughput: {printed[-500:]}")
    return float(found[1])


def main() -> None:
    """Measure the pairs, print each, the medians and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--model", default="person-detection-0202")
    parser.add_argument("--clip", type=Path, default=Path("out/street-720p.mp4"))
    options = parser.parse_args()
    street(options.clip, 600)
    ratios = []
    summary: dict[str, Any] = {}
    for pair in range(options.pairs):
        alone = theirs(options.model, options.seconds)
        rate, summary = ours(options.clip, options.model, options.seconds)
        ratios.append(rate / alone)
        print(
            f"pair {pair + 1}: pipeline {rate:.1f} fps, benchmark_app {alone:.1f} fps, ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.3f} of {options.pairs} pairs")
    for stage, spread in summary["stages"].items():
        print(f"  {stage:16} p50 {spread['p50']:8.3f} ms  p95 {spread['p95']:8.3f} ms")


if __name__ == "__main__":
    main()
