"""What is known of a camera at one moment, as programs and pages are told."""

from __future__ import annotations

from typing import Any

from pipeline.outputs.events.schema import timestamp
from pipeline.redaction import scrub
from pipeline.stats.health import Verdict
from pipeline.stats.registry import CameraFigures


def card(
    figures: CameraFigures,
    found: Verdict,
    *,
    age: float | None,
    live: bool,
    size: tuple[int, int] | None,
    viewers: int,
    direct: dict[str, Any] | None,
) -> dict[str, Any]:
    """A camera for JSON, as openapi.json beside the page describes it; `age` is seconds, `size` width and height."""
    width, height = size or (None, None)
    return {
        "name": figures.name,
        "state": figures.state.value,
        "reason": scrub(figures.reason),
        "since": timestamp(figures.since),
        "retry_in": None if figures.retry_in is None else round(figures.retry_in, 1),
        "last_good": None if figures.last_good is None else timestamp(figures.last_good),
        "next_try": None if figures.next_try is None else timestamp(figures.next_try),
        "level": found.level.value,
        "text": found.text,
        "stale": found.stale,
        "live": live,
        "source": scrub(figures.source),
        "width": width,
        "height": height,
        "detected": figures.detected,
        "people": figures.people,
        "fps": round(figures.fps, 1),
        "fps_in": round(figures.fps_in, 1),
        "age_ms": None if age is None else round(age * 1e3),
        "captured": figures.captured,
        "inferred": figures.inferred,
        "passed": figures.passed,
        "shown": figures.shown,
        "dropped": figures.dropped,
        "in_flight": figures.in_flight,
        "reconnects": figures.reconnects,
        "late": figures.late,
        "viewers": viewers,
        "direct": direct,
    }
