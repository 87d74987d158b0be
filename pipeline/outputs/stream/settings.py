"""The keys of live streams to servers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pipeline.config.outputs import OutputSettings


class Stream(OutputSettings):
    """A live stream of each camera to an RTSP or RTMP server."""

    kind = "stream"
    summary = "A live stream to an RTSP or RTMP server."
    text_key = "address"
    example: ClassVar[dict[str, Any]] = {"address": "rtsp://localhost:8554/{camera}"}

    address: Annotated[str, Field(pattern=r"^(rtsp|rtsps|rtmp|rtmps)://.+", max_length=4096)]
    """rtsp://, rtsps://, rtmp:// or rtmps:// address; {camera} stands for the camera's name."""
    boxes: Literal["burnt", "no"] = "burnt"
    """burnt: encoded with the overlay; no: the camera's own pictures, untouched."""
    bitrate: Annotated[int, Field(ge=0, le=200_000_000)] = 0
    """Bits a second of encoded pictures; 0 keeps a constant quality instead."""
