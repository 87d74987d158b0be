"""Watch the people in front of your cameras: capture, infer, render.

import pipeline

with pipeline.open("config/minimal.yaml") as results:
    for result in results:
        print(result.frame.camera, result.frame.seq, [(d.label, round(d.score, 2)) for d in result.detections])
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .version import __version__

if TYPE_CHECKING:
    from pipeline.config.root import Config

    from .errors import ConfigError, PipelineError, SourceError
    from .frames import Detection, Detections, Frame, Result
    from .results import CameraChange, Results

__all__ = [
    "CameraChange",
    "Config",
    "ConfigError",
    "Detection",
    "Detections",
    "Frame",
    "PipelineError",
    "Result",
    "SourceError",
    "__version__",
    "load",
    "open",
    "run",
]

_HOMES = {
    "CameraChange": "results",
    "Config": "config.root",
    "ConfigError": "errors",
    "Detection": "frames",
    "Detections": "frames",
    "Frame": "frames",
    "PipelineError": "errors",
    "Result": "frames",
    "SourceError": "errors",
}
"""The module of each name that is imported only when it is asked for: the program hears signals before that."""


def __getattr__(name: str) -> Any:
    """Return one of the names of the package."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)


def load(config: str | Path | Mapping[str, Any], *overrides: str) -> Config:
    """Return the configuration in a YAML file, of one source, or in a mapping with the keys of a file.

    Each override is `key.path=value`. Raises ConfigError with every problem.
    """
    return _config(config, overrides)


def open(config: str | Path | Mapping[str, Any] | Config | None = None, *overrides: str) -> Results:
    """Return the results of all cameras, to iterate over; the cameras start when the first result is asked for.

    `config` is a YAML file, a source (camera number, address or video file), a mapping with the keys of a file, a
    Config, or nothing for the drawn demo. Outputs that the configuration names work beside the iteration; a window does
    not. Raises PipelineError: see pipeline.errors.
    """
    from .results import Results

    return Results(_config(config, overrides))


def run(config: str | Path | Mapping[str, Any] | Config | None = None, *overrides: str) -> dict[str, object]:
    """Run the configured outputs until the sources end, on the main thread; returns the summary.

    `config` is as for `open`. Without outputs in the configuration it opens a window, or a page where there is no
    display.
    """
    from pipeline.runtime.runtime import Runtime

    runtime = Runtime(_config(config, overrides))
    runtime.run()
    return runtime.summary()


def _config(config: str | Path | Mapping[str, Any] | Config | None, overrides: tuple[str, ...]) -> Config:
    from pipeline.config.root import Config

    if isinstance(config, Config):
        if overrides:
            from .errors import ConfigError

            raise ConfigError("overrides go with a file; give a Config the values itself")
        return config
    from pipeline.config.load import of_any

    return of_any(config, overrides)
