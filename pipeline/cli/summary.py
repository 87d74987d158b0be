"""What is left of a run when it has ended: a table to read and a JSON file to compute with.

The keys of the file are stable; those that later versions add stand beside them:

    cameras.NAME      captured, inferred, shown: frames; dropped: frames by reason; in_flight; reconnects;
                      fps: shown frames a second; people: detections in the last result, null where there is
                      none; detected: whether it is; passed: frames that went on without;
                      latency_ms: from the capture of a frame until its first output showed it
    outputs.NAME      shown, skipped: views; lost: pictures and lines that could not be written;
                      states: what is to be told of its parts, such as streams
    stages.STAGE      what one frame took there, in milliseconds
    model             name and precision of the detector
    device            devices that executed it, requests, streams
    seconds           how long the run took
    peak_memory_mb    the most memory that the process held

Every time in milliseconds is {count, mean, p50, p95, p99, max}.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.errors import OutputError


class SummaryFile:
    """The file that `--summary` names; opening it early tells early that it cannot be written."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # A device such as /dev/stdout must not be replaced by a file.
        self._direct = os.path.exists(path) and not os.path.isfile(path)
        self._part = self._path if self._direct else self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        if os.path.isdir(path) or not self._path.name:
            raise OutputError(f"summary {path}: is a folder, not a file")
        if not self._direct:
            self._write("")
            self._part.unlink()

    def write(self, summary: Mapping[str, Any]) -> None:
        """Write it whole or not at all; raises OutputError."""
        self._write(json.dumps(summary, indent=2) + "\n")
        if not self._direct:
            self._part.replace(self._path)

    def _write(self, text: str) -> None:
        try:
            with open(self._part, "w", encoding="utf-8") as file:
                file.write(text)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OutputError(f"summary {self._path}: cannot be written: {reason}") from None


def show(summary: Mapping[str, Any], console: Console) -> None:
    """Print the tables of a finished run."""
    cameras = summary["cameras"]
    console.print(_counts(cameras))
    console.print()
    times = {name: spread for name, spread in summary["stages"].items() if spread["count"]}
    times |= {f"capture to output, {name}": each["latency_ms"] for name, each in cameras.items() if each["shown"]}
    if times:
        console.print(_times(times))
        console.print()
    facts = [*_facts("model", summary["model"]), *_facts("device", summary["device"])]
    facts += [f"{summary['seconds']:.1f} s", f"{summary['peak_memory_mb']:.0f} MB of memory at most"]
    console.print(", ".join(facts), markup=False, highlight=False, soft_wrap=True)


def _counts(cameras: Mapping[str, Any]) -> Table:
    keys = ["captured", "inferred", "carried", "shown"]
    if not any(each["carried"] for each in cameras.values()):
        keys.remove("carried")
    table = _table("camera", *keys, "dropped", "fps", "people")
    for name, each in cameras.items():
        dropped = "\n".join(f"{count} {reason}" for reason, count in each["dropped"].items() if count) or "0"
        counts = (str(each[key]) for key in keys)
        nobody = "none counted" if each.get("detected", True) else "detection off"
        people = nobody if each["people"] is None else str(each["people"])
        table.add_row(name, *counts, dropped, f"{each['fps']:.1f}", people)
    return table


def _times(times: Mapping[str, Mapping[str, float]]) -> Table:
    keys = ("p50", "p95", "p99", "max")
    table = _table("milliseconds", "frames", *keys)
    for name, spread in times.items():
        table.add_row(name, str(spread["count"]), *(f"{spread[key]:.1f}" for key in keys))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold")
    for title in others:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _facts(title: str, values: Mapping[str, Any] | None) -> list[str]:
    """Return what is known of the model or the device, as phrases; `no model` if the run ended before it was there."""
    if not values:
        return [f"no {title}"]
    plain = [values.get(key) for key in ("name", "precision", "devices")]
    named = [", ".join(each) if isinstance(each, list | tuple) else str(each) for each in plain if each]
    numbers = [f"{key} {each}" for key, each in values.items() if isinstance(each, int)]
    return [" ".join([title, *named]), *numbers]
