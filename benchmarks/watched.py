"""What a camera costs that is only watched, beside the same camera detected, in the same run.

    python -m benchmarks.watched [--seconds 10] [--rounds 3] [--model auto]

Two programs with a page each read one RTSP camera of 720p30 at the same time: one detects, the other has
`detect: false`. Their CPU time is taken from outside, with nobody looking, with one viewer that takes the camera's own
pictures, and with one that takes MJPEG; and so is how many pictures a second they got done, for a machine with other
work may not let a detector do all.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import urllib.request

import psutil

from benchmarks.viewer import viewers
from tests.support.clips import encode, street
from tests.support.servers.rtsp import RtspServer

SETTLE = 4.0


class Program:
    """One run of the program with a page."""

    def __init__(self, address: str, model: str, detect: bool) -> None:
        told = [f"cameras.camera.source={address}", f"cameras.camera.detect={str(detect).lower()}"]
        told += [f"model={model}", "outputs=[web: 0]"]
        settings = [part for each in told for part in ("--set", each)]
        self.process = subprocess.Popen(
            [sys.executable, "run.py", *settings], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert self.process.stderr is not None
        line = ""
        while not line.startswith("watch on"):
            line = self.process.stderr.readline()
            assert line, "the program has ended"
        self.address = line.split()[-1]
        self._seen = psutil.Process(self.process.pid)

    def used(self) -> float:
        """CPU seconds so far."""
        times = self._seen.cpu_times()
        return float(times.user + times.system)

    def done(self) -> int:
        """Pictures that it has detected or passed on so far."""
        with urllib.request.urlopen(f"{self.address}api/cameras/camera", timeout=30) as answer:
            told = json.load(answer)
        return int(told["inferred"] + told["passed"])

    def memory(self) -> float:
        """Megabytes that it holds."""
        return float(self._seen.memory_info().rss) / 1e6


def loads(programs: dict[str, Program], seconds: float) -> dict[str, tuple[float, float]]:
    """Per cent of a core that each used over so many seconds, and pictures a second that it got done."""
    before, begun = {name: (each.used(), each.done()) for name, each in programs.items()}, time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return {
        name: (100 * (each.used() - before[name][0]) / passed, (each.done() - before[name][1]) / passed)
        for name, each in programs.items()
    }


def main() -> None:
    """Measure and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="auto")
    options = parser.parse_args()
    clip = encode(street(120, 1280, 720), 30, 60, 3_000_000)
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with RtspServer({"live": clip}) as camera:
        programs = {
            name: Program(camera.url("live"), options.model, name == "detected") for name in ("detected", "watched")
        }
        try:
            time.sleep(SETTLE)
            for _ in range(options.rounds):
                for who in ("nobody", "direct", "mjpeg"):
                    if who == "nobody":
                        load = loads(programs, options.seconds)
                    else:
                        with (
                            viewers(who, programs["detected"].address, 1),
                            viewers(who, programs["watched"].address, 1),
                        ):
                            load = loads(programs, options.seconds)
                    for name, each in load.items():
                        found.setdefault((name, who), []).append(each)
            memory = {name: each.memory() for name, each in programs.items()}
        finally:
            for program in programs.values():
                program.process.terminate()
                program.process.communicate()
    for who, text in (("nobody", "nobody looks"), ("direct", "one viewer, H.264"), ("mjpeg", "one viewer, MJPEG")):
        words, costs = [], []
        for name in ("detected", "watched"):
            share, rate = (statistics.median(each[place] for each in found[name, who]) for place in (0, 1))
            words.append(f"{name} {share:.2f} % of a core at {rate:.1f} pictures a second")
            costs.append(share / max(rate, 0.1))
        print(f"{text}: {', '.join(words)}; a picture costs 1 to {costs[0] / costs[1]:.0f}")
    rounds = {" ".join(key): [round(load, 2) for load, _ in each] for key, each in found.items()}
    print(f"all rounds: {rounds}")
    print(f"memory: detected {memory['detected']:.0f}, watched {memory['watched']:.0f} MB")


if __name__ == "__main__":
    main()
