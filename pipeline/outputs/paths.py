"""The paths of output files: {camera} filled in, and what a name must have."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.files.names import named
from pipeline.redaction import redacted


def filled(template: str, camera: str) -> Path:
    """Return the path for one camera: {camera} becomes its name."""
    return named(template.replace("{camera}", camera))


def check_template(key: str, template: str, cameras: tuple[str, ...]) -> None:
    """Raise ConfigError if several cameras would go to the same place; `key` is such as `video.path`."""
    if len(cameras) > 1 and "{camera}" not in template:
        raise ConfigError(
            f"outputs.{key}: must contain {{camera}} because there are {len(cameras)} cameras, "
            f"got '{redacted(template)}'"
        )


def check_ending(key: str, template: str, endings: tuple[str, ...]) -> None:
    """Raise ConfigError if the name ends like no kind of file that can be written; `key` is such as `video.path`."""
    if Path(template).suffix.lower() not in endings:
        raise ConfigError(f"outputs.{key}: must end in {' or '.join(endings)}, got '{template}'")
