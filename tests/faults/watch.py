"""A program that watches many spoilt cameras and a healthy one, and what came of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.oracle import SLACK, Circumstances, Denied, History, complaints, leaks, uneven, unharmed
from tests.faults.program import WITNESS, Program, Sample
from tests.faults.rig import FPS, PICTURES, SECRET, USER, Case, Healing, Rig, draw
from tests.support.wait import until

HEALTHY, HEALTHY_FPS = "healthy", 8
LEAST_AFTER = 1.0
SETTLES = 20.0
"""Seconds after which what has not come back, or has not been given back, never will."""
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
    healthy_pictures: int = PICTURES,
    model: Mapping[str, object] | None = None,
) -> Report:
    """Run the program until every fault has come and gone; `spoilt_first` begins them before the program.

    `healthy` is the address of the camera without a fault, where ours will not do, with `healthy_pictures` pictures.
    `model` is the section of the program's configuration, where the detector that costs nothing will not do.
    """
    draw()
    rigs = {case.name: case.rig(case.name, FPS, case.through) for case in cases}
    well = Rig(HEALTHY, HEALTHY_FPS)
    try:
        healings = {case.name: case.begin(rigs[case.name]) for case in cases} if spoilt_first else {}
        cameras = {HEALTHY: {"source": healthy or well.address, "capture": {"loop": True, "pace": "realtime"}}}
        for case in cases:
            cameras[case.name] = {"source": case.address or rigs[case.name].address, "capture": case.capture}
        sections: dict[str, Any] = {} if model is None else {"model": model}
        program = Program(folder, cameras, "-v", command=WITNESS, environment=environment, **sections)
        return _watched(program, cases, rigs, healings, well, healthy_pictures, spoilt_first)
    finally:
        for rig in [*rigs.values(), well]:
            rig.stop()


def _watched(
    program: Program,
    cases: Sequence[Case],
    rigs: dict[str, Rig],
    healings: dict[str, Healing],
    well: Rig,
    healthy_pictures: int,
    spoilt_first: bool,
) -> Report:
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
            # Until the model is there nothing is held that will be held to the end.
            program.wait_until(lambda: bool(program.shown(HEALTHY)))
            time.sleep(1.5)
            report.before = program.sample(time.time())
            spoilt, healed = _play(cases, rigs, healings)
            until(lambda: _all_back(program, cases, healed), SETTLES)
            if not spoilt_first:
                until(lambda: _given_back(program, report.before), SETTLES)
            ended = time.time()
            report.after = program.sample(ended)
            report.code, report.stop = program.end()
        finally:
            stopping.set()
            program.kill()
    report.pause = pauses.result()
    histories = program.histories()
    slack = SLACK + report.pause
    denied: Denied = program.toll.denied
    began = (histories.get(HEALTHY, History()).first("live") or 0.0) + 1.0
    for case in cases:
        history = histories.get(case.name, History())
        since = history.first("connecting") or 0.0 if spoilt_first else spoilt[case.name]
        rig = rigs[case.name]
        done = Circumstances(since, healed[case.name], rig.began, FPS, PICTURES, slack, denied, case.lasts)
        told = complaints(case.verdict, history, done)
        asked = rig.server.verbs.count("DESCRIBE")
        if case.tries is not None and asked > case.tries:
            told.append(f"asked for the stream {asked} times, not {case.tries}")
        report.cases[case.name] = told
        report.words[case.name] = f"{history.words}, at {[round(each.at - since, 1) for each in history.changes]} s"
    healthy = histories.get(HEALTHY, History())
    report.healthy = unharmed(healthy, HEALTHY_FPS, began, ended, slack, denied, healthy_pictures)
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
    spoilt: dict[str, float] = {}
    healed: dict[str, float] = {}
    begun = time.time()

    def play(case: Case) -> None:
        time.sleep(max(0.0, begun + case.after - time.time()))
        spoilt[case.name] = time.time()
        if case.name not in healings:
            healings[case.name] = case.begin(rigs[case.name])
        time.sleep(max(0.0, begun + case.after + case.lasts - time.time()))
        # A fault that lasts to the end is not healed, so that nothing is asked of what comes after.
        if case.verdict.back is not None or case.lasts == 0:
            healings[case.name]()
        healed[case.name] = time.time()

    # A thread for each, because to start a camera again may take longer than another's fault is to last.
    with ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(play, cases))
    time.sleep(max(0.0, begun + max(case.ends for case in cases) + LEAST_AFTER - time.time()))
    return spoilt, healed


def _all_back(program: Program, cases: Sequence[Case], healed: Mapping[str, float]) -> bool:
    """Whether every camera that is to come back has done so."""
    histories = program.histories()
    due = [case.name for case in cases if case.verdict.back is not None]
    return all(
        name in histories
        and histories[name].shown
        and histories[name].changes
        and histories[name].changes[-1].state == "live"
        and histories[name].shown[-1].at >= healed[name]
        for name in due
    )


def _given_back(program: Program, before: Sample) -> bool:
    """Whether the program holds no more than before the faults."""
    now = program.samples[-1]
    return now.threads <= before.threads and now.descriptors <= before.descriptors
