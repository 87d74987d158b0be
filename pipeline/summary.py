"""What is left of a run when it has ended: a table to read and a JSON file to compute with.

The keys of the file are stable; those that later versions add stand beside them:

    cameras.NAME      captured, inferred, shown: frames; dropped: frames by reason; in_flight; reconnects;
                      fps: shown frames a second; people: detections in the last result;
                      latency_ms: from the capture of a frame until its first output showed it
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

from .errors import OutputError


class SummaryFile:
    """The file that `--summary` names; opening it early tells early that it cannot be written."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        # A device such as /dev/stdout must not be replaced by a file.
        self._direct = self._path.exists() and not self._path.is_file()
        self._part = self._path if self._direct else self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        if self._path.is_dir() or not self._path.name:
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
    console.print(_cameras(summary["cameras"]))
    if summary["stages"]:
        console.print(_stages(summary["stages"]))
    facts = [*_facts("model", summary["model"]), *_facts("device", summary["device"])]
    facts.append(f"peak memory {summary['peak_memory_mb']:.0f} MB")
    facts.append(f"{summary['seconds']:.1f} s")
    console.print(", ".join(facts), markup=False, highlight=False, soft_wrap=True)


def _cameras(cameras: Mapping[str, Any]) -> Table:
    table = _table("camera", "captured", "inferred", "shown", "dropped", "fps", "people")
    _add_times(table, "latency ")
    for name, each in cameras.items():
        dropped = ", ".join(f"{count} {reason}" for reason, count in each["dropped"].items() if count) or "0"
        counts = (str(each[key]) for key in ("captured", "inferred", "shown"))
        table.add_row(
            name, *counts, dropped, f"{each['fps']:.1f}", str(each["people"]), *_milliseconds(each["latency_ms"])
        )
    return table


def _stages(stages: Mapping[str, Any]) -> Table:
    table = _table("stage", "frames")
    _add_times(table, "")
    for name, spread in stages.items():
        table.add_row(name, str(spread["count"]), *_milliseconds(spread))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, no_wrap=True)
    for title in others:
        table.add_column(title, justify="right", no_wrap=title != "dropped")
    return table


def _add_times(table: Table, before: str) -> None:
    for title in (f"{before}p50", "p95", "p99", "max ms"):
        table.add_column(title, justify="right", no_wrap=True)


def _milliseconds(spread: Mapping[str, float]) -> list[str]:
    return [f"{spread[key]:.1f}" if spread["count"] else "-" for key in ("p50", "p95", "p99", "max")]


def _facts(title: str, values: Mapping[str, Any] | None) -> list[str]:
    if not values:
        return [f"no {title}"]
    told = {key: ", ".join(map(str, each)) if isinstance(each, list | tuple) else each for key, each in values.items()}
    return [
        f"{title} "
        + " ".join(
            f"{each}" if key in ("name", "precision", "devices") else f"{key} {each}"
            for key, each in told.items()
            if each not in ("", None)
        )
    ]
