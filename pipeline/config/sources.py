"""Sources given without a configuration: how to tell them from one, and the cameras that they become."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import urlsplit

from pipeline import redaction
from pipeline.address import parse as address

from .nodes import brief
from .overrides import Override

_CONFIGURATIONS = (".yaml", ".yml")
_VIDEOS = (
    *(".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov"),
    *(".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv", ".gif", ".jpeg", ".jpg", ".png"),
)


def is_source(text: str) -> bool:
    """Tell whether what stands in the place of a configuration is the address of a source: 0, rtsp://, street.mp4."""
    ending = PurePath(text).suffix.lower()
    if ending in _CONFIGURATIONS and address.kind(text) == "file":
        return False
    return address.kind(text) != "file" or ending in _VIDEOS or os.path.isfile(text)


def given_sources(sources: Sequence[str], option: str = "") -> list[Override]:
    """Return the overrides that put sources in the place of all cameras; `option` stands before each in errors."""
    found = [Override(option.strip() or "cameras", ("cameras",), None)] if sources else []
    for name, source in zip(camera_names(sources), sources, strict=True):
        found.append(Override(f"{option}{brief(source)}", ("cameras", name), {"source": source}))
    return found


def camera_names(sources: Sequence[str]) -> list[str]:
    """A name for each address, from its host, its file or its number: short, and no two the same."""
    names: list[str] = []
    for source in sources:
        plain = (
            re.sub(r"[^\w-]+", "-", _called(source)).strip("-")[:60].encode()[:120].decode(errors="ignore") or "camera"
        )
        alike = re.compile(rf"{re.escape(plain)}(-\d+)?", re.IGNORECASE)
        count = 1 + sum(alike.fullmatch(name) is not None for name in names)
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
    return PurePath(address.local_path(source)).stem
