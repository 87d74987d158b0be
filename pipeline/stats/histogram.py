"""Times and rates in constant memory, however long the program runs."""

from __future__ import annotations

import math
import sys
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

_LOG_STEP_RATIO = math.log(1.02)
_MIN_DURATION_S = 1e-6
_RATE_WINDOW_S = 3.0
_MIN_RATE_SPAN_S = 1.0


@dataclass(frozen=True, slots=True)
class Spread:
    """The distribution of a time, in milliseconds."""

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    def as_dict(self) -> dict[str, float]:
        """Return the figures, rounded to a microsecond, for JSON."""
        return {"count": self.count} | {
            key: round(getattr(self, key), 3) for key in ("mean", "p50", "p95", "p99", "max")
        }


class Histogram:
    """Times in steps of 2 %, so that percentiles are true to 1 % in constant memory; not locked."""

    def __init__(self) -> None:
        self._buckets: Counter[int] = Counter()
        self._count = 0
        self._sum = 0.0
        self._max = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._buckets[round(math.log(max(seconds, _MIN_DURATION_S)) / _LOG_STEP_RATIO)] += 1
        self._count += 1
        self._sum += seconds
        self._max = max(self._max, seconds)

    def copy(self) -> Histogram:
        """Return the same counts, to be read while these go on."""
        other = Histogram()
        other._buckets = self._buckets.copy()
        other._count, other._sum, other._max = self._count, self._sum, self._max
        return other

    @property
    def sum(self) -> float:
        """Seconds of all durations together."""
        return self._sum

    def up_to(self, limits: Iterable[float]) -> list[int]:
        """Count the durations that are no longer than each limit; exact where the limit is a `boundary`."""
        steps = sorted(self._buckets.items())
        return [sum(count for step, count in steps if step * _LOG_STEP_RATIO <= math.log(limit)) for limit in limits]

    def spread(self) -> Spread:
        """Return the distribution so far; zeros before the first duration."""
        if not self._count:
            return Spread(0, 0.0, 0.0, 0.0, 0.0, 0.0)
        p50, p95, p99 = (self._percentile(share) for share in (0.50, 0.95, 0.99))
        return Spread(self._count, self._sum / self._count * 1e3, p50, p95, p99, self._max * 1e3)

    def _percentile(self, share: float) -> float:
        rank = max(1, math.ceil(share * self._count))
        for bucket in sorted(self._buckets):
            rank -= self._buckets[bucket]
            if rank <= 0:
                return min(math.exp(bucket * _LOG_STEP_RATIO), self._max) * 1e3
        return self._max * 1e3


def boundary(seconds: float) -> float:
    """Return the end of the histogram's step that is nearest to a duration: at most 1 % away."""
    return math.exp((math.floor(math.log(seconds) / _LOG_STEP_RATIO) + 0.5) * _LOG_STEP_RATIO)


class Rate:
    """Events a second over the last few seconds; not locked."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=4096)

    def tick(self, now: float) -> None:
        """Count one event at `now` in monotonic seconds."""
        self._times.append(now)
        self._forget(now)

    def value(self, now: float) -> float:
        """Events a second, from the intervals between the events of the last 3 s; 0 after a pause.

        What comes in a burst after a pause counts as if it had taken a second.
        """
        self._forget(now)
        if len(self._times) < 2:
            return 0.0
        span = max(self._times[-1] - self._times[0], now - self._times[0] - _MIN_RATE_SPAN_S, _MIN_RATE_SPAN_S)
        return (len(self._times) - 1) / span

    def _forget(self, now: float) -> None:
        while self._times and now - self._times[0] > _RATE_WINDOW_S:
            self._times.popleft()


def peak_memory() -> int:
    """Return the most bytes of memory this process has held so far; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
