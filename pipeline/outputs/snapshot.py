"""One picture of a camera as a file, as honest as what viewers see."""

from __future__ import annotations

from pathlib import Path

import cv2

from pipeline.clock import Clock
from pipeline.config.file_claims import FileClaims
from pipeline.draw.overlay import stale
from pipeline.errors import OutputError
from pipeline.files.names import named
from pipeline.files.writing import write_whole
from pipeline.stats.camera import CameraStats
from pipeline.stats.health import assess

from .protocols import View

_ENDINGS = (".jpg", ".jpeg", ".png")


def save(view: View, stats: CameraStats, clock: Clock, path: str | Path, claims: FileClaims) -> Path:
    """Write the picture with its boxes, or dimmed with the reason where it is not what the camera sees now.

    The ending of the file, .jpg or .png, says its format; `claims` are the files that it may not take the place of.
    What is there stays until the picture is whole. Raises OutputError.
    """
    target = named(path)
    if target.suffix.lower() not in _ENDINGS:
        raise OutputError(f"{stats.name}: no snapshot: its file must end in {' or '.join(_ENDINGS)}, got {target}")
    age = clock.monotonic() - view.result.frame.captured
    health = assess(stats.figures(), clock.now(), age, view.live)
    image = stale(view.image(), health, stats.name) if health.stale else view.annotated()
    claims.check_free(target)
    write_whole(target, cv2.imencode(target.suffix, image)[1].tobytes())
    return target
