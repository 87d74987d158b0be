"""The health of a camera: the level and the words that every viewer is shown over its newest picture."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.redaction import scrub

from .camera import CameraFigures, State

MAX_SHOWN_AGE_S = 1.5
"""Seconds after which a picture of a live camera is shown dimmed, with the reason over it."""
MAX_LIVE_AGE_S = 0.5
"""Seconds of age up to which a picture counts as live; amber above."""


class Level(StrEnum):
    """The trust that a viewer may put in the picture."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """A level and the words for it."""

    level: Level
    text: str
    """Such as `LIVE 42 ms`, `no picture for 12 s` or `offline since 14:03:11 CET, retry in 4 s`."""

    @property
    def stale(self) -> bool:
        """Whether the picture must be dimmed, because it is not what the camera sees now."""
        return self.level in (Level.BAD, Level.IDLE)


def assess(figures: CameraFigures, now: datetime, age: float | None, live: bool = True) -> CameraHealth:
    """Assess a camera whose newest picture at hand is `age` seconds old (None: there is none yet)."""
    shown = f"{round(age * 1e3)} ms" if age is not None else ""
    reason = scrub(figures.reason)
    # While tries come and go, what counts is since when nothing good was seen.
    since = f"since {_moment(figures.last_good or figures.since, now)}"
    held = max(0.0, (now - figures.since).total_seconds())
    silent = f"no picture for {_span(held if age is None else age)}"
    match figures.state:
        case State.ENDED:
            return CameraHealth(Level.IDLE, _because("ended", reason))
        case State.OFFLINE | State.RETRYING:
            return CameraHealth(Level.BAD, f"{_because(f'offline {since}', reason)}, {_next_try(figures.retry_in)}")
        case State.STALLED:
            return CameraHealth(Level.BAD, silent)
        case State.FROZEN:
            return CameraHealth(Level.BAD, f"frozen {_span(held)}")
        case State.CORRUPT:
            return CameraHealth(Level.BAD, f"damaged pictures {since}")
    if age is None:
        words = "connecting" if figures.state is State.CONNECTING else "waiting for a picture"
        return CameraHealth(Level.IDLE, _because(words, reason))
    if not live:
        return CameraHealth(Level.GOOD, f"FILE {shown}")
    if age > MAX_SHOWN_AGE_S:
        return CameraHealth(Level.BAD, silent)
    if figures.state is State.LATE:
        return CameraHealth(Level.WARN, f"LATE {round((age + figures.behind) * 1e3)} ms")
    if age > MAX_LIVE_AGE_S:
        return CameraHealth(Level.WARN, f"LATE {shown}")
    return CameraHealth(Level.GOOD, f"LIVE {shown}")


def _because(words: str, reason: str) -> str:
    return f"{words} ({reason})" if reason else words


def _moment(time: datetime, now: datetime) -> str:
    """Return a time of day with its zone, for readers may be in another; and with its date if that is not today's."""
    time, today = time.astimezone(), now.astimezone().date()
    date = "" if time.date() == today else f"{time:%Y-%m-%d} "
    return f"{date}{time:%H:%M:%S %Z}"


def _next_try(seconds: float | None) -> str:
    return "trying again" if seconds is None or seconds < 0.5 else f"retry in {_span(seconds)}"


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
