"""What happened in a run, one JSON object a line, and its picture."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pipeline.errors import TrainingError


class Journal:
    """Appends events to a file; every line is on disk before the run goes on."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, event: str, **values: Any) -> None:
        """Add one event; numbers are rounded to what can be read."""
        line = {"event": event, **{key: _round(value) for key, value in values.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def cut(self, step: int) -> None:
        """Drop what was written of steps past a checkpoint, for they will be done again."""
        if not self.path.exists():
            return
        lines = [line for line in self.events() if line.get("step", 0) <= step]
        temporary = self.path.with_suffix(".partial")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        os.replace(temporary, self.path)

    def events(self) -> list[dict[str, Any]]:
        """Every whole line; a last one that a kill cut off is left out."""
        events = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue
        return events


def _round(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def plot(journal: Journal, target: Path) -> None:
    """Draw the losses and, where it was measured, the average precision against the steps, as a PNG."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise TrainingError("plotting needs matplotlib: pip install 'lookout-video[train]'") from error
    events = journal.events()
    steps = [event for event in events if event["event"] == "step"]
    scores = [event for event in events if event["event"] == "score"]
    figure = Figure(figsize=(9, 5), layout="constrained")
    left = figure.subplots()
    for name, label in (("classes", "classes"), ("boxes", "boxes"), ("blocks", "blocks")):
        points = [(event["step"], event[name]) for event in steps if name in event]
        if points:
            left.plot(*zip(*points, strict=True), label=f"loss, {label}", linewidth=1)
    left.set_xlabel("step")
    left.set_ylabel("loss")
    left.set_yscale("log")
    left.legend(loc="upper left")
    if scores:
        right = left.twinx()
        at = [event["step"] for event in scores]
        right.plot(at, [event["average_precision"] for event in scores], "k.-", label="AP")
        right.plot(at, [event["average_precision_50"] for event in scores], "k.--", label="AP50")
        right.set_ylabel("average precision")
        right.set_ylim(0, 1)
        right.legend(loc="upper right")
    figure.savefig(target, dpi=110)
