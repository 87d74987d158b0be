"""One judge for every fault: what a camera said of itself, when, and which pictures were taken for good."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations, pairwise
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

SLACK = 1.5
"""Seconds that the work itself may take on top of every limit, and those that the machine denied are added."""
STOPPED = 6.0
"""Seconds until a process has gone that must end its work in two, for it also takes itself apart."""

Denied = Callable[[float, float], float]
"""Most seconds by which the machine made a process late between two times; see Toll."""


def nothing_denied(begin: float, end: float) -> float:
    """A machine that has time for everybody."""
    return 0.0


WAITS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
"""Seconds between a camera's tries, give or take JITTER; the last for ever."""
JITTER = 0.2


@dataclass(frozen=True)
class Change:
    """A line of the events file that tells a state."""

    at: float
    """Seconds since 1970."""
    state: str
    reason: str

    @property
    def word(self) -> str:
        """Such as `live`, or `offline:refused`; a reason of several words has dashes."""
        return f"{self.state}:{self.reason.replace(' ', '-')}" if self.reason else self.state


@dataclass(frozen=True)
class Shown:
    """A line of the events file that tells a picture."""

    at: float
    """Seconds since 1970 at which it was captured."""
    seq: int
    number: int
    """What stands in the picture."""
    size: tuple[int, int]
    boxes: tuple[tuple[float, ...], ...] = ()


@dataclass
class History:
    """All that one camera told."""

    changes: list[Change] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The states in their order, a blank after each."""
        return "".join(f"{change.word} " for change in self.changes)

    def first(self, state: str, after: float = 0.0) -> float | None:
        """When this state first began, later than `after`."""
        return next((change.at for change in self.changes if change.at >= after and change.state == state), None)


@dataclass(frozen=True)
class Verdict:
    """What must hold of one camera."""

    states: str
    """Pattern of all states in their order, a blank between them."""
    noticed: tuple[float, float] | None = None
    """Least and most seconds from the fault until the camera is no longer connecting, live, or as it was."""
    back: float | None = None
    """Most seconds from the healing until a picture of after the healing is shown."""
    oldest: float = 1.0
    """Most seconds that a picture may lag behind the camera when it is captured; inf leaves it unjudged."""
    sizes: frozenset[tuple[int, int]] | None = None
    """All sizes that pictures must have had."""


class Told:
    """The histories of all cameras in an events file that grows, of which each line is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._histories: dict[str, History] = {}
        self._lock = threading.Lock()

    def histories(self) -> dict[str, History]:
        """All that is there by now; an unfinished last line is left out."""
        with self._lock:
            if self._path.exists():
                with self._path.open("rb") as file:
                    file.seek(self._read)
                    for line in file:
                        if not line.endswith(b"\n"):
                            break
                        self._read += len(line)
                        self._take(json.loads(line))
            return dict(self._histories)

    def _take(self, event: dict[str, Any]) -> None:
        history = self._histories.setdefault(event["camera"], History())
        if "state" in event:
            history.changes.append(Change(_seconds(event["at"]), event["state"], event["reason"]))
        else:
            boxes = tuple(tuple(each["box"]) for each in event["detections"])
            size = (event["size"][0], event["size"][1])
            number = event.get("number", -1)
            history.shown.append(Shown(_seconds(event["captured"]), event["seq"], number, size, boxes))


@dataclass(frozen=True)
class Circumstances:
    """What was done to a camera, and when, in seconds since 1970."""

    spoilt: float
    """When the fault began; where it was there from the start, when the program began to connect."""
    healed: float
    began: float
    """When picture 0 was due."""
    fps: float
    pictures: int
    """How many pictures there are until they begin again."""
    slack: float = SLACK
    denied: Denied = nothing_denied
    planned: float = float("inf")
    """Seconds that the fault was to last, for which the verdict was made."""

    @property
    def allowance(self) -> float:
        """Seconds by which the next try may be later because the fault lasted longer than planned."""
        lasted = self.healed - self.spoilt
        if lasted <= self.planned:
            return 0.0
        return max(lasted - self.planned, longest_wait(lasted) - longest_wait(self.planned))


def longest_wait(outage: float) -> float:
    """The longest pause between tries in which a camera may be that has been away for so many seconds."""
    tried, waits = 0.0, iter(WAITS_S)
    wait = next(waits)
    while (tried := tried + wait * (1 - JITTER)) <= outage:
        wait = next(waits, wait)
    return wait * (1 + JITTER)


def complaints(verdict: Verdict, history: History, done: Circumstances) -> list[str]:
    """What is wrong with a history."""
    return [
        *_of_states(verdict, history, done),
        *_of_return(verdict, history, done),
        *_of_age(verdict, history, done),
        *_of_boxes(verdict, history),
    ]


def _of_states(verdict: Verdict, history: History, done: Circumstances) -> list[str]:
    found = []
    spoilt = done.spoilt
    if re.fullmatch(verdict.states, history.words.rstrip()) is None:
        found.append(f"states are '{history.words.rstrip()}', not '{verdict.states}'")
    if verdict.noticed is not None:
        before = next((each.state for each in reversed(history.changes) if each.at < spoilt), "connecting")
        quiet = {before, "connecting"}
        noticed = next((each.at for each in history.changes if each.at >= spoilt and each.state not in quiet), None)
        least, most = verdict.noticed
        if noticed is None:
            found.append("the fault was never noticed")
        elif not least <= noticed - spoilt <= most + done.slack + done.denied(spoilt, noticed):
            found.append(f"noticed after {noticed - spoilt:.1f} s, not within {least:g} to {most:g} s")
    return found


def _of_return(verdict: Verdict, history: History, done: Circumstances) -> list[str]:
    if verdict.back is None:
        return []
    healed = done.healed
    shown = next((each.at for each in history.shown if each.at >= healed), None)
    if shown is None:
        return ["no picture came after the healing"]
    last = history.changes[-1] if history.changes else Change(0.0, "", "")
    found = [] if last.state == "live" else [f"ended as {last.word} although it was healed"]
    if shown - healed > verdict.back + done.allowance + done.slack + done.denied(healed, shown):
        found.append(f"first picture {shown - healed:.1f} s after the healing, not within {verdict.back:g} s")
    return found


def _of_age(verdict: Verdict, history: History, done: Circumstances) -> list[str]:
    if verdict.oldest == float("inf"):
        return []
    found = []
    cycle = done.pictures / done.fps
    for each in history.shown:
        age = (each.at - done.began - each.number / done.fps + cycle / 2) % cycle - cycle / 2
        most = verdict.oldest + done.slack + done.denied(each.at - age, each.at)
        if not -done.slack <= age <= most:
            found.append(f"picture {each.number} of sequence {each.seq} was taken for good {age:.1f} s late")
    numbers = [each.seq for each in history.shown]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        found.append("sequence numbers do not rise")
    return found[:3]


def _of_boxes(verdict: Verdict, history: History) -> list[str]:
    found = []
    sizes = frozenset(each.size for each in history.shown)
    if verdict.sizes is not None and sizes != verdict.sizes:
        found.append(f"sizes are {sorted(sizes)}, not {sorted(verdict.sizes)}")
    for each in history.shown:
        width, height = each.size
        if any(not (0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height) for x1, y1, x2, y2 in each.boxes):
            found.append(f"a box of sequence {each.seq} lies outside the picture of {width}x{height}")
    return found[:3]


def unharmed(
    history: History,
    fps: float,
    begin: float,
    end: float,
    slack: float = SLACK,
    denied: Denied = nothing_denied,
    pictures: int = 0,
) -> list[str]:
    """What is wrong with a camera that had no fault: it gives all its pictures, and shows some all the time.

    `pictures` is how many there are until their numbers begin again; without it every tenth may be missing.
    """
    found = []
    shown = [each for each in history.shown if begin <= each.at <= end]
    if {each.state for each in history.changes} - {"connecting", "live"}:
        found.append(f"the healthy camera's states are '{history.words.rstrip()}'")
    if len(shown) < 2:
        return [*found, "the healthy camera showed nothing"]
    lasted = shown[-1].at - shown[0].at
    captured = (shown[-1].seq - shown[0].seq) / lasted
    if captured * lasted < 0.9 * fps * (lasted - denied(shown[0].at, shown[-1].at)):
        found.append(f"the healthy camera gave {captured:.1f} frames a second, not {fps:g}")
    if pictures and (
        lost := sum(
            (later.number - earlier.number - later.seq + earlier.seq) % pictures for earlier, later in pairwise(shown)
        )
    ):
        found.append(f"{lost} pictures of the healthy camera were never captured")
    gaps = [(earlier.at, later.at) for earlier, later in pairwise([*shown, Shown(end, -1, -1, (0, 0))])]
    if harmful := [late - early for early, late in gaps if late - early > slack + denied(early, late)]:
        found.append(f"the healthy camera showed nothing for {max(harmful):.1f} s")
    return found


def leaks(secret: str, user: str, texts: dict[str, str]) -> list[str]:
    """Which of the texts hold the secret, in plain, encoded, or as Basic authentication sends it."""
    encoded = quote(secret, safe="")
    forms = {secret, encoded, quote(encoded, safe=""), quote(secret), json.dumps(secret)[1:-1]}
    for plain in (secret, f"{user}:{secret}"):
        forms |= {base64.b64encode(plain.encode()).decode().rstrip("=")}
    return [f"{name} holds the password" for name, text in texts.items() if any(each in text for each in forms)]


def uneven(counts: dict[str, Any]) -> list[str]:
    """What is wrong with the counts of one camera in a summary."""
    seen = counts["inferred"] + counts["carried"] + counts["passed"]
    accounted = seen + sum(counts["dropped"].values()) + counts["in_flight"]
    return [] if counts["captured"] == accounted else [f"captured {counts['captured']}, accounted for {accounted}"]


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much the second value rises for each step of the first, by the median of all pairs."""
    return median((y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in combinations(points, 2) if x1 != x2)
