"""The public surface: a dozen names, sorted, documented, and every one of them there."""

from __future__ import annotations

import inspect

import pipeline


def test_the_public_names_are_these_and_no_others() -> None:
    assert pipeline.__all__ == [
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
    assert all(hasattr(pipeline, name) for name in pipeline.__all__)


def test_every_public_name_is_documented() -> None:
    for name in pipeline.__all__:
        thing = getattr(pipeline, name)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name
            assert not thing.__doc__.startswith(f"{name}("), name


def test_the_version_is_the_one_of_the_project_file() -> None:
    import tomllib
    from pathlib import Path

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert pipeline.__version__ == project["version"]
