"""The keys of video files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from pipeline.config.outputs import OutputSettings


class Video(OutputSettings):
    """An H.264 video file of each camera with the overlay."""

    kind = "video"
    summary = "An H.264 video file of each camera."
    text_key = "path"
    short_form = "video: FILE"
    example: ClassVar[dict[str, Any]] = {"path": "out/{camera}.mp4"}

    path: Annotated[str, Field(min_length=1)]
    """File to write, .mp4 or .mkv; {camera} stands for the camera's name."""
    bitrate: Annotated[int, Field(ge=0, le=200_000_000)] = 0
    """Bits a second; 0 keeps a constant quality instead."""
    overlay: bool = True
    """Whether the overlay is in the picture."""

    @property
    def files_written(self) -> Mapping[str, str]:
        """The names of the files that it writes by their keys."""
        return {"path": self.path}
