"""The keys of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.config.outputs import OutputSettings


class Record(OutputSettings):
    """Recordings in files of some minutes, which a kill leaves playable."""

    kind = "record"
    summary = "Recordings in files of some minutes."
    text_key = "path"
    example: ClassVar[dict[str, Any]] = {"path": "out/{camera}-{time}.mp4"}

    path: Annotated[str, Field(min_length=1)]
    """Files to write, .mp4 or .mkv; {time} stands for when each begins, {camera} for the camera's name."""
    boxes: Literal["beside", "burnt", "no"] = "beside"
    """Where boxes go: beside (the camera's own pictures, boxes in a .jsonl), burnt into encoded pictures, or no."""
    audio: bool = False
    """Whether the camera's sound is kept too, where it is AAC, Opus or MP3; many laws ask for consent to that."""
    seconds: Annotated[float, Field(ge=1, le=86400, allow_inf_nan=False)] = 600.0
    """Seconds of one file; it ends at the next keyframe."""
    megabytes: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Megabytes of one file; 0 for no limit."""
    free: Annotated[int, Field(ge=0, le=1_000_000_000)] = 1000
    """Megabytes of the disk to keep free: the oldest recordings are deleted for it."""
    bitrate: Annotated[int, Field(ge=0, le=200_000_000)] = 0
    """Bits a second of encoded pictures; 0 keeps a constant quality instead."""

    @property
    def files_written(self) -> Mapping[str, str]:
        """The names of the files that it writes by their keys."""
        return {"path": self.path}
