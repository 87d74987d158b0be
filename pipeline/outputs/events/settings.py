"""The keys of files of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from pipeline.config.outputs import OutputSettings

STDOUT = "-"


class Events(OutputSettings):
    """A JSON line for every frame."""

    kind = "events"
    text_key = "path"
    example: ClassVar[dict[str, Any]] = {"path": "out/events.jsonl"}

    path: Annotated[str, Field(min_length=1)]
    """File to append to, or - for standard output; {camera} stands for the camera's name."""
    empty: bool = True
    """Whether frames without detections get a line too."""

    @property
    def prints(self) -> bool:
        """Whether the lines go to standard output."""
        return self.path == STDOUT

    @property
    def files_written(self) -> Mapping[str, str]:
        """The names of the files that it writes by their keys."""
        return {} if self.prints else {"path": self.path}
