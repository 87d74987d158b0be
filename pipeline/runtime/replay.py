"""Recordings played with the boxes beside them, as if they were detected now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipeline.concurrency.queues import Funnel
from pipeline.frames import Detection, Detections, Frame, Result, Timing
from pipeline.outputs.record.sidecar import Found
from pipeline.stats.registry import Stats


class Replay:
    """Takes the place of the detector for some recordings, by the names they have as cameras."""

    def __init__(self, recordings: Mapping[str, Path]) -> None:
        """Read the boxes beside each recording; one without them plays without."""
        self._found = {name: Found(path) for name, path in recordings.items()}

    def report(self) -> str:
        """One line for a person."""
        counts = (f"{name}: boxes of {len(found)} pictures" for name, found in self._found.items())
        return ", ".join(counts)

    def run(self, intake: Funnel[Frame], deliver: Callable[[Result], None], stats: Stats) -> None:
        """Give every frame what was found in it, until the intake ends."""
        for frame in intake:
            found = _arrays(self._found[frame.camera].at(frame.pts or 0.0))
            stats.cameras[frame.camera].inferred(len(found), frame.captured)
            deliver(Result(frame, found, Timing(frame.decode)))


def _arrays(found: list[Detection]) -> Detections:
    labels = tuple(dict.fromkeys(each.label for each in found))
    return Detections(
        np.array([each.box for each in found], np.float32).reshape(-1, 4),
        np.array([each.score for each in found], np.float32),
        np.array([labels.index(each.label) for each in found], np.int32),
        labels,
    )
