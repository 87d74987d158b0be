"""The stage between detector and outputs: each camera has analyzers of its own, which see its results in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from pipeline.config.cameras import Camera
from pipeline.frames import Result


class Analyzer(Protocol):
    """One thing that is known of one camera over time, such as who is the same person as a moment ago."""

    def analyze(self, result: Result) -> Result:
        """Return the result with what is known now; it may not wait.

        Called for every result of its camera in order, by one thread at a time. A result is never changed in place:
        others have it too.
        """
        ...


BUILDERS: list[Callable[[str, Camera], Analyzer | None]] = []
"""Each makes the analyzer of a camera from its name and settings, or None where these ask for none of its kind.

Results pass through in this order.
"""


class Analysis:
    """The analyzers of all cameras of a run."""

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        built = {name: [build(name, camera) for build in BUILDERS] for name, camera in cameras.items()}
        self._analyzers = {name: tuple(each for each in row if each is not None) for name, row in built.items()}

    def analyze(self, result: Result) -> Result:
        """Pass a result through the analyzers of its camera; called by the threads that deliver results."""
        for analyzer in self._analyzers[result.frame.camera]:
            result = analyzer.analyze(result)
        return result
