"""The contract between the engine and whatever computes: a detector with requests that run by themselves."""

from __future__ import annotations

from typing import Any, Protocol

from pipeline.frames import Detections, Picture


class Request(Protocol):
    """One place for a picture and its outputs; used by one thread at a time. Its errors are RuntimeError."""

    def start_async(self) -> Any:
        """Start computing and return at once."""
        ...

    def wait_for(self, milliseconds: int) -> bool:
        """Wait for the end of computing, but no longer than so many milliseconds; True if it has ended."""
        ...

    def cancel(self) -> Any:
        """Give up computing."""
        ...


class Detector(Protocol):
    """A model made ready for a device; its methods may be called from any thread."""

    name: str
    requests: int
    """How many requests to keep in flight."""

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that execute now, such as ("CPU",)."""
        ...

    def request(self) -> Request:
        """Make a request."""
        ...

    def fill(self, request: Request, picture: Picture) -> None:
        """Lay a picture into a request, scaled as the model wants it."""
        ...

    def parse(
        self, request: Request, width: int, height: int, threshold: float, keep: tuple[str, ...] = ()
    ) -> Detections:
        """Return what a finished request found, in pixels of a picture of `width` x `height`.

        The request is free again. `keep` are the labels wanted; empty keeps all.
        """
        ...

    def explain(self, error: Exception) -> str:
        """Return an error of a request in one line."""
        ...

    def check_labels(self, keep: tuple[str, ...]) -> None:
        """Raise ConfigError if one of the labels to keep is none of this model's; its class number will do too."""
        ...

    def title(self) -> str:
        """Say what detects and on what, now: `person-detection-0202 FP16-INT8 on CPU`."""
        ...

    def report(self) -> str:
        """Say in one line for the terminal what was made ready."""
        ...

    def facts(self) -> dict[str, dict[str, object]]:
        """Return what the summary says of model and device, with stable keys."""
        ...
