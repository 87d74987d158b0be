"""What the options of the command line change in the configuration."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.nodes import brief
from pipeline.config.overrides import Override
from pipeline.config.sources import given_sources


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
    found = given_sources(sources, "-i ")
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
