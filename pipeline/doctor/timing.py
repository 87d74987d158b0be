"""The timing of a stream: its pace, pauses, bursts and keyframes, and its own clock against ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from statistics import median
from typing import NamedTuple

_SETTLE_S = 1.0
"""Seconds left out at the start, where servers send what they had stored, all at once."""
_PAUSE_S = 0.5
_PAUSE_COUNT = 4
_BURST_COUNT = 4
_LEAP_S = 2.0
_MAX_BIN_COUNT = 24


class Arrival(NamedTuple):
    """One compressed picture as it came."""

    at: float
    """Monotonic seconds."""
    pts: float | None
    """Seconds on the stream's own timeline."""
    keyframe: bool = False
    size: int = 0
    """Bytes."""


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """The timing of one stream by its arrivals; seconds unless named otherwise, None where it cannot be said."""

    pictures: int = 0
    seconds: float = 0.0
    """Between first and last arrival, the start left out."""
    fps: float | None = None
    """Pictures a second that really came."""
    interval: float | None = None
    """Usual time between two pictures by the stream's own clock, or by ours where it has none."""
    pauses: int = 0
    """Gaps of more than half a second and four pictures."""
    longest_gap: float = 0.0
    not_made: int = 0
    """Those of the pauses that the stream's own clock knows of: nothing was recorded in them, or it was lost."""
    bursts: int = 0
    """Times when four or more pictures came nearly at once."""
    largest_burst: int = 0
    """Pictures."""
    keyframes: int = 0
    keyframe_every: float | None = None
    """Usual time between keyframes; None for fewer than two."""
    keyframe_pictures: int | None = None
    """Pictures from one keyframe to the next."""
    drift_ppm: float | None = None
    """How much slower than ours the stream's clock runs, in millionths: pictures seem to grow older by so much."""
    drift_error_ppm: float | None = None
    """How far off that may be."""
    lag: float = 0.0
    """How much later the last pictures came than the quickest ones, by the stream's own clock."""
    largest_lag: float = 0.0
    jumps: int = 0
    """Times when the stream's own clock leapt."""
    bitrate: float | None = None
    """Bits a second."""


def rhythm(arrivals: Sequence[Arrival], *, live: bool) -> StreamTiming:
    """Return the rhythm of arrivals in the order they came; of a file, `live` False, only its own times count."""
    if len(arrivals) < 2:
        return StreamTiming(pictures=len(arrivals), keyframes=sum(each.keyframe for each in arrivals))
    settled = _settled(arrivals) if live else list(arrivals)
    own = sorted(each.pts for each in arrivals if each.pts is not None)
    steps = [after - before for before, after in pairwise(own) if after > before]
    gaps = [after.at - before.at for before, after in pairwise(settled)]
    interval = median(steps) if steps else median(gaps) if live else None
    seconds = settled[-1].at - settled[0].at if live else own[-1] - own[0] + (interval or 0.0) if own else 0.0
    bits = 8 * sum(each.size for each in (settled[1:] if live else settled))
    every, pictures = _keyframes(arrivals, interval)
    pace = (len(settled) - live) / seconds if seconds > 0 else None
    timing = StreamTiming(
        pictures=len(arrivals),
        seconds=seconds,
        fps=pace,
        interval=interval,
        keyframes=sum(each.keyframe for each in arrivals),
        keyframe_every=every,
        keyframe_pictures=pictures,
        bitrate=bits / seconds if bits and seconds > 0 else None,
    )
    return _in_time(timing, settled, gaps, interval) if live and interval else timing


def _in_time(timing: StreamTiming, settled: list[Arrival], gaps: list[float], interval: float) -> StreamTiming:
    """Return the same with all that only a live stream has."""
    newest = _newest(settled)
    long = max(_PAUSE_S, _PAUSE_COUNT * interval)
    pauses = [number for number, gap in enumerate(gaps) if gap > long]
    bursts = _runs([gap < interval / 4 for gap in gaps])
    jumps, offsets = _offsets(settled, newest)
    drift, error = _drift(offsets)
    best = min((offset for _, offset in offsets), default=0.0)
    last = [offset for at, offset in offsets if at > settled[-1].at - 1.0]
    return replace(
        timing,
        pauses=len(pauses),
        longest_gap=max(gaps, default=0.0),
        not_made=sum(_not_made(settled, newest, at) for at in pauses),
        bursts=len(bursts),
        largest_burst=max(bursts, default=0),
        drift_ppm=drift,
        drift_error_ppm=error,
        lag=median(last) - best if last else 0.0,
        # One late picture is none: some decoders let go of a picture only when the next one has come.
        largest_lag=max((min(one[1], next_one[1]) for one, next_one in pairwise(offsets)), default=best) - best,
        jumps=jumps,
    )


def _not_made(arrivals: list[Arrival], newest: list[float | None], at: int) -> bool:
    """Tell whether the own clock knows of the pause after an arrival, by the next picture or the one after that."""
    begun = newest[at]
    for later in (at + 1, min(at + 2, len(arrivals) - 1)):
        ended = newest[later]
        if begun is not None and ended is not None and ended - begun > 0.7 * (arrivals[later].at - arrivals[at].at):
            return True
    return False


def _settled(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """Return those after the start, which may be a fifth of them at most."""
    whole = arrivals[-1].at - arrivals[0].at
    begin = arrivals[0].at + min(_SETTLE_S, whole / 5)
    kept = [each for each in arrivals if each.at >= begin]
    return kept if len(kept) >= 2 else list(arrivals)


def _newest(arrivals: Sequence[Arrival]) -> list[float | None]:
    """Return the newest own time so far at each arrival, because B-frames come after pictures that follow them."""
    newest: list[float | None] = []
    top: float | None = None
    for each in arrivals:
        if each.pts is not None:
            back = top is not None and each.pts < top - _LEAP_S
            top = each.pts if top is None or back else max(top, each.pts)
        newest.append(top)
    return newest


def _runs(flags: Sequence[bool]) -> list[int]:
    """Tell how many pictures came nearly at once, each time when there were enough of them."""
    runs, length = [], 1
    for flag in (*flags, False):
        if flag:
            length += 1
            continue
        if length >= _BURST_COUNT:
            runs.append(length)
        length = 1
    return runs


def _keyframes(arrivals: Sequence[Arrival], interval: float | None) -> tuple[float | None, int | None]:
    places = [number for number, each in enumerate(arrivals) if each.keyframe]
    if len(places) < 2:
        return None, None
    pictures = round(median(after - before for before, after in pairwise(places)))
    times = []
    for before, after in pairwise(places):
        begun, ended = arrivals[before].pts, arrivals[after].pts
        if begun is not None and ended is not None and ended > begun:
            times.append(ended - begun)
    if times:
        return median(times), pictures
    return (pictures * interval if interval else None), pictures


def _offsets(arrivals: Sequence[Arrival], newest: Sequence[float | None]) -> tuple[int, list[tuple[float, float]]]:
    """Tell how often the own clock leapt, and its longest stretch without: arrivals with how far they lie behind it."""
    stretches: list[list[tuple[float, float]]] = [[]]
    before: tuple[float, float] | None = None
    for each, own in zip(arrivals, newest, strict=True):
        if own is None:
            continue
        if before is not None:
            ahead = (own - before[1]) - (each.at - before[0])
            if ahead > _LEAP_S or own < before[1]:
                stretches.append([])
        if before is None or own != before[1]:
            stretches[-1].append((each.at, each.at - own))
        before = (each.at, own)
    return len(stretches) - 1, max(stretches, key=len)


def _drift(offsets: Sequence[tuple[float, float]]) -> tuple[float | None, float | None]:
    """Return the slope of the quickest arrivals in millionths; a network only delays pictures, never hastens them."""
    if len(offsets) < 4 * _PAUSE_COUNT or offsets[-1][0] - offsets[0][0] < 2.0:
        return None, None
    count = max(4, min(_MAX_BIN_COUNT, len(offsets) // 8))
    begin, span = offsets[0][0], offsets[-1][0] - offsets[0][0]
    quickest: dict[int, tuple[float, float]] = {}
    for at, offset in offsets:
        place = min(count - 1, int((at - begin) / span * count))
        if place not in quickest or offset < quickest[place][1]:
            quickest[place] = (at, offset)
    points = list(quickest.values())
    if len(points) < 3:
        return None, None
    slope = median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0])
    middle = median(offset - slope * at for at, offset in points)
    apart = sorted(abs(offset - slope * at - middle) for at, offset in points)
    return slope * 1e6, 3e6 * apart[int(0.8 * (len(apart) - 1))] / span
