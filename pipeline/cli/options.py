"""What the options of the command line change in the configuration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import urlsplit

from pipeline import redaction
from pipeline.address import parse as address
from pipeline.config.nodes import brief
from pipeline.config.overrides import Override


def overrides(
    *,
    sources: Sequence[str] = (),
    model: str | None = None,
    device: str | None = None,
    threshold: str | None = None,
    video: str | None = None,
    window: bool | None = None,
    web: str | None = None,
    no_web: bool = False,
    events: str | None = None,
    loop: bool = False,
) -> list[Override]:
    """The overrides that the options stand for; those of the same name in a camera's own section give way too."""
    found = []
    if sources:
        found.append(Override("-i", ("cameras",), None))
    for name, source in zip(camera_names(sources), sources, strict=True):
        found.append(Override(f"-i {brief(source)}", ("cameras", name), {"source": source}))
    for option, path, text in (
        ("--model", ("model", "name"), model),
        ("--device", ("infer", "device"), device),
        ("--threshold", ("detect", "threshold"), threshold),
        ("--output", ("outputs", "video", "path"), video),
        ("--web", ("outputs", "web"), web),
        ("--events", ("outputs", "events", "path"), events),
    ):
        if text is not None:
            found.append(Override(f"{option} {brief(text)}", path, text, everywhere=True))
    if loop:
        found.append(Override("--loop", ("capture", "loop"), "true", everywhere=True))
    if window:
        found.append(Override("--window", ("outputs", "window"), {}))
    if window is False:
        found.append(Override("--no-window", ("outputs", "window"), None))
    if no_web:
        found.append(Override("--no-web", ("outputs", "web"), None))
    return found


def camera_names(sources: Sequence[str]) -> list[str]:
    """A name for each address, from its host, its file or its number: short, and no two the same."""
    names: list[str] = []
    for source in sources:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", _called(source)).strip("-")[:60] or "camera"
        count = 1 + sum(re.fullmatch(rf"{re.escape(plain)}(-\d+)?", name) is not None for name in names)
        names.append(plain if count == 1 else f"{plain}-{count}")
    return names


def _called(source: str) -> str:
    source = redaction.redacted(address.inner(source))
    kind = address.kind(source)
    if kind == "webcam":
        return f"camera{source}" if source.isdigit() else PurePath(source).name
    if kind == "network":
        try:
            return urlsplit(source).hostname or ""
        except ValueError:
            return ""
    return PurePath(source).stem
