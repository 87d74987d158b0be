"""Memory of one camera over time: the command line on a looped 720p file at its own pace, sampled from outside.

python -m benchmarks.soak [--minutes 10] [--source ADDRESS] [--model person-detection-0202]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import psutil

from benchmarks.clip import street


def slope(points: list[tuple[float, float]]) -> float:
    """The median slope between all pairs of points: robust against steps and single outliers (Theil 1950, Sen 1968)."""
    return statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))


def main() -> None:
    """Run, sample each two seconds, print the peak and the slope of the second half."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--source", default="")
    parser.add_argument("--model", default="person-detection-0202")
    options = parser.parse_args()
    source = options.source or str(street(Path("out/street-720p.mp4"), 600))
    command = [sys.executable, "run.py", "-i", source, "--loop", "-m", options.model, "--no-window", "--web", "0"]
    command += ["--set", "capture.pace=realtime", "--duration", str(options.minutes * 60)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    watched = psutil.Process(process.pid)
    points: list[tuple[float, float]] = []
    threads: list[int] = []
    files: list[int] = []
    began = time.monotonic()
    while process.poll() is None:
        time.sleep(2)
        try:
            points.append((time.monotonic() - began, watched.memory_info().rss / 1e6))
            threads.append(watched.num_threads())
            files.append(watched.num_fds())
        except psutil.NoSuchProcess:
            break
    half = points[len(points) // 2 : -2]
    print(f"exit code {process.returncode} after {points[-1][0]:.0f} s")
    peak = max(megabytes for _, megabytes in points)
    middle = statistics.median(megabytes for _, megabytes in half)
    print(f"resident: peak {peak:.0f} MB, median of the second half {middle:.0f} MB")
    print(f"slope of the second half {slope(half) * 60:.3f} MB a minute")
    print(f"threads {min(threads[5:-2])} to {max(threads[5:-2])}, files {min(files[5:-2])} to {max(files[5:-2])}")


if __name__ == "__main__":
    main()
