"""Recordings played with the boxes beside them, as if they were detected now."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipeline.concurrency.queues import Funnel
from pipeline.frames import Detection, Detections, Frame, Result, Timing
from pipeline.outputs.record.sidecar import RecordedBoxes
from pipeline.stats.registry import Stats


class Replay:
    """Takes the place of the detector for some recordings, by the names they have as cameras."""

    def __init__(self, recordings: Mapping[str, Path]) -> None:
        """Read the boxes beside each recording; one without them plays without."""
        self._boxes = {name: RecordedBoxes(path) for name, path in recordings.items()}

    def report(self) -> str:
        """One line for a person."""
        counts = (f"{name}: boxes of {len(boxes)} pictures" for name, boxes in self._boxes.items())
        return ", ".join(counts)

    def run(self, intake: Funnel[Frame], deliver: Callable[[Result], None], stats: Stats) -> None:
        """Give every frame what was found in it, until the intake ends."""
        for frame in intake:
            detections = _arrays(self._boxes[frame.camera].at(frame.pts or 0.0))
            stats.cameras[frame.camera].inferred(len(detections), frame.captured)
            deliver(Result(frame, detections, Timing(frame.decode)))


def _arrays(detections: list[Detection]) -> Detections:
    labels = tuple(dict.fromkeys(each.label for each in detections))
    return Detections(
        np.array([each.box for each in detections], np.float32).reshape(-1, 4),
        np.array([each.score for each in detections], np.float32),
        np.array([labels.index(each.label) for each in detections], np.int32),
        labels,
    )
