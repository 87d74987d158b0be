"""From starting Python to the first boxed frame, and where the time goes.

python -m benchmarks.startup [--runs 5] [--source demo] [--model person-detection-0202]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Start the program some times with the model in the cache and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--source", default="demo")
    parser.add_argument("--model", default="person-detection-0202")
    options = parser.parse_args()
    totals, steps = [], []
    with tempfile.TemporaryDirectory() as folder:
        summary, events = Path(folder) / "summary.json", Path(folder) / "events.jsonl"
        command = [sys.executable, "run.py", "-i", options.source, "-m", options.model, "--no-window", "--no-web"]
        command += ["--output", str(Path(folder) / "boxed.mp4"), "--events", str(events)]
        for _ in range(options.runs):
            events.unlink(missing_ok=True)
            begun = time.monotonic()
            process = subprocess.Popen(
                [*command, "--frames", "1", "--summary", str(summary)], stdout=subprocess.DEVNULL
            )
            process.wait(60)
            whole = time.monotonic() - begun
            told = json.loads(summary.read_text())
            first = min(camera["first_shown_s"] for camera in told["cameras"].values())
            steps.append(told["start_s"] | {"first_shown": first, "imports_before": whole - told["seconds"]})
            totals.append(whole)
    print(f"start to end of the first frame: median {statistics.median(totals):.2f} s of {options.runs}")
    for step in steps[0]:
        print(f"  {step:16} {statistics.median(each[step] for each in steps):.3f} s")


if __name__ == "__main__":
    main()
