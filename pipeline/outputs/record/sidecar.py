"""The boxes beside a recording: a JSON line for each picture, with the time it stands at in the file."""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import unwritable
from pipeline.files.writing import WrittenFile
from pipeline.frames import Detection

from .retention import BOXES

_HOLD_S = 0.3
"""Seconds that boxes stay where later pictures have no line, because the detector left them out."""


class BoxesFile:
    """Appends whole lines, each in one write, so that a kill loses none that was written."""

    def __init__(self, video: Path) -> None:
        self._file = WrittenFile(video.with_suffix(BOXES), append=True)

    def write(self, seconds: float, event: dict[str, Any]) -> None:
        """Add the line of the picture that stands at `seconds` in the video; raises OutputError."""
        line = json.dumps({"t": round(seconds, 6), **event}, separators=(",", ":")) + "\n"
        try:
            self._file.write(line.encode())
        except OSError as error:
            raise unwritable(self._file.path, error) from error

    def close(self) -> None:
        """Close the file; harmless when called twice."""
        self._file.close()


def lines(video: Path) -> Iterator[dict[str, Any]]:
    """Return the lines beside a recording; none where there is no such file, and none that a kill cut off."""
    with suppress(FileNotFoundError), open(video.with_suffix(BOXES), encoding="utf-8", errors="replace") as file:
        for line in file:
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and isinstance(event.get("t"), int | float):
                    yield event


class RecordedBoxes:
    """The boxes beside a recording, by time."""

    def __init__(self, video: Path) -> None:
        """Read all lines; `len` of it is how many there are."""
        self._events = sorted(lines(video), key=lambda event: float(event["t"]))
        self._times = [float(event["t"]) for event in self._events]

    def __len__(self) -> int:
        return len(self._times)

    def at(self, seconds: float) -> list[Detection]:
        """Return what was found in the picture at `seconds`, or shortly before it."""
        # Matroska counts in milliseconds, so that a picture may stand half of one beside its line.
        place = bisect.bisect_right(self._times, seconds + 0.002) - 1
        if place < 0 or seconds - self._times[place] > _HOLD_S:
            return []
        detections = []
        for each in self._events[place].get("detections", ()):
            with suppress(KeyError, TypeError, ValueError):
                left, top, right, bottom = map(float, each["box"])
                detections.append(Detection(str(each["label"]), float(each["score"]), (left, top, right, bottom)))
        return detections
