"""The fields of an event, the same wherever results are written as JSON."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from pipeline.frames import Result, Timing


def frame_event(result: Result, captured_at: datetime, total: float) -> dict[str, Any]:
    """Return what the line of a frame holds; `total` is seconds since its capture."""
    frame = result.frame
    timings = {field.name: getattr(result.timing, field.name) for field in fields(Timing)} | {"total": total}
    return {
        "camera": frame.camera,
        "seq": frame.seq,
        "pts": None if frame.pts is None else round(frame.pts, 6),
        "captured": timestamp(captured_at),
        "size": [frame.picture.width, frame.picture.height],
        "timings_ms": {name: round(seconds * 1e3, 3) for name, seconds in timings.items()},
        "detections": [
            {"label": label, "score": round(score, 4), "box": [round(each, 2) for each in box]}
            for label, score, box in result.detections
        ],
        **({} if result.carried_s is None else {"carried_ms": round(result.carried_s * 1e3, 1)}),
    }


def timestamp(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds, such as 2026-05-04T12:30:15.250Z."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
