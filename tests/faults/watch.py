"""A program that watches many spoilt cameras and a healthy one, and what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.oracle import SLACK, Circumstances, History, complaints, leaks, uneven, unharmed
from tests.faults.program import WITNESS, Program, Sample
from tests.faults.rig import FPS, PICTURES, SECRET, USER, Case, Healing, Rig

HEALTHY, HEALTHY_FPS = "healthy", 8
LEAST_AFTER = 1.0
NOTHING = Sample(0.0, 0, 0, 0)


@dataclass
class Report:
    """What is wrong: of each case, and of the program as a whole."""

    cases: dict[str, list[str]] = field(default_factory=dict)
    healthy: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    words: dict[str, str] = field(default_factory=dict)
    code: int = -1
    stop: float = 0.0
    errors: str = ""
    pause: float = 0.0
    """Seconds for which the machine let nobody work, that no program is to blame for."""
    before: Sample = NOTHING
    after: Sample = NOTHING
    peak: int = 0
    """Most bytes that the program held at any moment."""


def longest_pause(stopping: threading.Event) -> float:
    """Most seconds by which a short sleep was too long."""
    longest = 0.0
    while not stopping.is_set():
        begun = time.monotonic()
        time.sleep(0.05)
        longest = max(longest, time.monotonic() - begun - 0.05)
    return longest


def watch(
    folder: Path,
    cases: Sequence[Case],
    *,
    spoilt_first: bool = False,
    environment: Mapping[str, str] | None = None,
    healthy: str = "",
) -> Report:
    """Run the program until every fault has come and gone; `spoilt_first` begins them before the program.

    `healthy` is the address of the camera without a fault, where ours will not do.
    """
    rigs = {case.name: case.rig(case.name, FPS, case.through) for case in cases}
    well = Rig(HEALTHY, HEALTHY_FPS)
    try:
        return _watched(folder, cases, rigs, well, healthy or well.address, spoilt_first, environment)
    finally:
        for rig in [*rigs.values(), well]:
            rig.stop()


def _watched(
    folder: Path,
    cases: Sequence[Case],
    rigs: dict[str, Rig],
    well: Rig,
    healthy: str,
    spoilt_first: bool,
    environment: Mapping[str, str] | None,
) -> Report:
    healings: dict[str, Healing] = {}
    if spoilt_first:
        healings = {case.name: case.begin(rigs[case.name]) for case in cases}
    cameras: dict[str, object] = {HEALTHY: {"source": healthy, "capture": {"loop": True, "pace": "realtime"}}}
    for case in cases:
        cameras[case.name] = {"source": case.address or rigs[case.name].address, "capture": case.capture}
    program = Program(folder, cameras, "-v", command=WITNESS, environment=environment)
    stopping = threading.Event()
    report = Report()
    with ThreadPoolExecutor(2) as observer:
        try:
            observer.submit(program.observe, stopping)
            pauses = observer.submit(longest_pause, stopping)
            if spoilt_first:
                program.wait_until(lambda: bool(well.server.verbs))
            else:
                program.wait_for(HEALTHY, *rigs)
            time.sleep(1.5)
            report.before = program.sample(time.time())
            spoilt, healed = _play(cases, rigs, healings)
            ended = time.time()
            report.after = program.sample(ended)
            report.code, report.stop = program.end()
        finally:
            stopping.set()
            program.kill()
    report.pause = pauses.result()
    histories = program.histories()
    slack = SLACK + report.pause
    began = (histories.get(HEALTHY, History()).first("live") or 0.0) + 1.0
    for case in cases:
        history = histories.get(case.name, History())
        since = history.first("connecting") or 0.0 if spoilt_first else spoilt[case.name]
        rig = rigs[case.name]
        done = Circumstances(since, healed[case.name], rig.began, FPS, PICTURES, slack)
        told = complaints(case.verdict, history, done)
        asked = rig.server.verbs.count("DESCRIBE")
        if case.tries is not None and asked > case.tries:
            told.append(f"asked for the stream {asked} times, not {case.tries}")
        report.cases[case.name] = told
        report.words[case.name] = history.words
    report.healthy = unharmed(histories.get(HEALTHY, History()), HEALTHY_FPS, began, ended, slack)
    report.secrets = leaks(SECRET, USER, program.texts())
    summary = program.summary()
    report.counts = [
        f"{name}: {each}" for name in summary.get("cameras", {}) for each in uneven(summary["cameras"][name])
    ]
    report.errors = program.errors
    report.peak = max(each.memory for each in program.samples)
    return report


def _play(
    cases: Sequence[Case], rigs: dict[str, Rig], healings: dict[str, Healing]
) -> tuple[dict[str, float], dict[str, float]]:
    """Begin and heal every fault in its time; when each was, in seconds since 1970."""
    begun = time.time()
    spoilt: dict[str, float] = {}
    healed: dict[str, float] = {}

    def begin(case: Case) -> None:
        spoilt[case.name] = time.time()
        if case.name not in healings:
            healings[case.name] = case.begin(rigs[case.name])

    def heal(case: Case) -> None:
        # A fault that lasts to the end is not healed, so that nothing is asked of what comes after.
        if case.verdict.back is not None or case.lasts == 0:
            healings[case.name]()
        healed[case.name] = time.time()

    plan = [(case.after, begin, case) for case in cases] + [(case.after + case.lasts, heal, case) for case in cases]
    for due, act, case in sorted(plan, key=lambda each: each[0]):
        time.sleep(max(0.0, begun + due - time.time()))
        act(case)
    time.sleep(max(0.0, begun + max(case.ends for case in cases) + LEAST_AFTER - time.time()))
    return spoilt, healed
