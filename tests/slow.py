"""Runs the tests as a slow, busy machine would: on one core, with programs beside them that never rest.

`python -m tests.slow` runs the default tests and then the fault suite; `--load N` is how many busy programs share
that core, `--rounds N` computes every inference N times, and all other arguments go to one run of pytest instead, such
as `python -m tests.slow tests/unit/capture`. `--cores` leaves the tests all cores: with 7 rounds a processor with
AVX-512 VNNI that takes 8 ms an inference then stands for one with AVX2 that takes 60.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import reaper

ROOT = Path(__file__).parents[1]
RUNS: tuple[list[str], ...] = ([], ["-n", "0", "-m", "faults", "tests/faults"])
"""Arguments of pytest for the default tests, and for the fault suite."""
SLOW_INFERENCE = ROOT / "tests" / "support" / "slow_inference"
BUSY = "while True: pass"


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep that many programs busy beside what runs."""
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for each in programs:
            each.kill()
            each.wait()


def main(arguments: list[str]) -> int:
    """Run pytest under load; return its worst exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.slow", description=__doc__)
    parser.add_argument("--load", type=int, default=1, help="busy programs beside the tests (default: 1)")
    parser.add_argument("--rounds", type=int, default=1, help="times that each inference is computed (default: 1)")
    parser.add_argument("--cores", action="store_true", help="use all cores instead of one")
    chosen, rest = parser.parse_known_args(arguments)
    if chosen.cores:
        pass
    elif hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    else:
        print("this system lets nobody choose a core: the tests share all of them with the load", flush=True)
    folders = [str(SLOW_INFERENCE), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ |= {"LOOKOUT_TEST_ROUNDS": str(chosen.rounds), "PYTHONPATH": os.pathsep.join(folders)}
    alive = reaper.guard()
    with busy(chosen.load):
        codes = [
            subprocess.run([sys.executable, "-m", "pytest", *run], cwd=ROOT, check=False).returncode
            for run in ([rest] if rest else RUNS)
        ]
    os.close(alive)
    return max(codes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
