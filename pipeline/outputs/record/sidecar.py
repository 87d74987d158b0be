"""The boxes beside a recording: a JSON line for each picture, with the time it stands at in the file."""

from __future__ import annotations

import bisect
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipeline.errors import unwritable
from pipeline.files.writing import WrittenFile
from pipeline.frames import Detection
from pipeline.notice import notify

from .retention import BOXES

log = logging.getLogger(__name__)

_MAX_LINE_LETTERS = 1 << 20
_MAX_DETECTION_COUNT = 1000
_MAX_LABEL_LETTERS = 64
_MAX_NUMBER_PX = 1e9
_HOLD_S = 0.3
"""Seconds that boxes stay where later pictures have no line, because the detector left them out."""


class BoxesFile:
    """Appends whole lines, each in one write, so that a kill loses none that was written."""

    def __init__(self, video: Path) -> None:
        self._file = WrittenFile(video.with_suffix(BOXES), append=True, shared=True)

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
    """Return the lines beside a recording; none where there is no such file, and none that a kill cut off.

    What is no such line, whoever wrote it, is left out; its number is logged in one line.
    """
    path, odd = video.with_suffix(BOXES), 0
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            while line := file.readline(_MAX_LINE_LETTERS):
                event = _event(line)
                odd += event is None
                if event is not None:
                    yield event
    except FileNotFoundError:
        return
    except OSError as error:
        notify(log, f"{path}: cannot be read: {error.strerror or error}; playing without boxes")
    if odd:
        notify(log, f"{path}: {odd} line{'s' * (odd > 1)} left out that say{'s' * (odd == 1)} nothing about a picture")


def _event(line: str) -> dict[str, Any] | None:
    """Return what a line says of a picture; None where it is none of ours."""
    try:
        event = json.loads(line)
        return event | {"t": _number(event["t"])} if isinstance(event, dict) else None
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None


def _number(value: Any) -> float:
    """Return a number that a picture may have as a time or place; ValueError for any other."""
    number = float(value)
    if isinstance(value, bool | str) or not abs(number) < _MAX_NUMBER_PX:
        raise ValueError(value)
    return number


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
        found = self._events[place].get("detections")
        for each in found[:_MAX_DETECTION_COUNT] if isinstance(found, list) else ():
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                left, top, right, bottom = map(_number, each["box"])
                label = str(each["label"])[:_MAX_LABEL_LETTERS]
                detections.append(Detection(label, _number(each["score"]), (left, top, right, bottom)))
        return detections
