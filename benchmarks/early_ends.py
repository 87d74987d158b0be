"""Ends the program at any moment of its start, on a busy machine, and counts how many of the ends were clean.

python -m benchmarks.early_ends [--runs 200] [--busy 4] [--within 3.0] [--seed 1]

Clean is an end with the exit code that the documentation names, without a traceback, a complaint of C++, or a file left
half written.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENDS = {
    "Ctrl-C": ([], signal.SIGINT, 130),
    "SIGTERM": ([], signal.SIGTERM, 0),
    "SIGHUP": ([], signal.SIGHUP, 0),
    "wrong model": (["-m", "nothing.xml"], None, 4),
    "wrong device": (["-d", "NOTHING"], None, 4),
}
"""By name: further arguments, the signal to send, and the exit code."""
_HANG_S = 120.0


def ended(name: str, delay_s: float, folder: Path) -> str:
    """Start the program and end it after a delay; return what was not clean about it, or nothing."""
    arguments, number, expected = ENDS[name]
    command = [sys.executable, str(ROOT / "run.py"), "--web", "0", "--set", "model.download=false", *arguments]
    command += ["-o", "boxed.mp4", "--events", "events.jsonl", "--summary", "summary.json"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        if number is not None:
            wait_for_handlers(process)
            time.sleep(delay_s)
            process.send_signal(number)
        said = "".join(process.communicate(timeout=_HANG_S))
    except subprocess.TimeoutExpired:
        return "hangs"
    finally:
        process.kill()
        process.wait()
    if process.returncode != expected:
        return f"exit code {process.returncode} after {delay_s:.2f} s: {said[-300:]}"
    if "Traceback" in said or "terminate" in said:
        return f"said {said[-300:]}"
    left = [each.name for each in folder.iterdir() if each.name.endswith((".part", ".tmp"))]
    return f"left {left}" if left else ""


def wait_for_handlers(process: subprocess.Popen[str]) -> None:
    """Wait until the program listens to SIGTERM: before that it is no program yet, but Python on its way to it."""
    bit = 1 << (signal.SIGTERM - 1)
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        if int(status.split("SigCgt:")[1].split()[0], 16) & bit:
            return
        time.sleep(0.002)


def main() -> None:
    """Print how many ends of each kind were clean, and what the others were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--busy", type=int, default=4)
    parser.add_argument("--within", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    clean: Counter[str] = Counter()
    faults: list[str] = []
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(options.busy)]
    try:
        for run in range(options.runs):
            name = list(ENDS)[run % len(ENDS)]
            with tempfile.TemporaryDirectory() as folder:
                fault = ended(name, draw.uniform(0, options.within), Path(folder))
            clean[name] += not fault
            faults += [f"{name}: {fault}"] if fault else []
    finally:
        for each in busy:
            each.kill()
            each.wait()
    for name in ENDS:
        print(f"{name:14}{clean[name]:4} of {len(range(list(ENDS).index(name), options.runs, len(ENDS)))} clean")
    print("\n".join(faults))


if __name__ == "__main__":
    main()
