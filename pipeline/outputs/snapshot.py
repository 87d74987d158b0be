"""One picture of a camera as a file, as honest as what viewers see."""

from __future__ import annotations

from pathlib import Path

import cv2

from pipeline.clock import Clock
from pipeline.draw.overlay import stale
from pipeline.errors import OutputError, unwritable
from pipeline.stats.camera import CameraStats
from pipeline.stats.health import assess

from .paths import make_room
from .protocols import View

_ENDINGS = (".jpg", ".jpeg", ".png")


def save(view: View, stats: CameraStats, clock: Clock, path: str | Path) -> Path:
    """Write the picture with its boxes, or dimmed with the reason where it is not what the camera sees now.

    The ending of the file, .jpg or .png, says its format. Raises OutputError.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() not in _ENDINGS:
        raise OutputError(f"{stats.name}: no snapshot: its file must end in {' or '.join(_ENDINGS)}, got {target}")
    age = clock.monotonic() - view.result.frame.captured
    health = assess(stats.figures(), clock.now(), age, view.live)
    image = stale(view.image(), health, stats.name) if health.stale else view.annotated()
    make_room(target)
    try:
        target.write_bytes(cv2.imencode(target.suffix, image)[1].tobytes())
    except OSError as error:
        raise unwritable(target, error) from error
    return target
