"""A camera, and the sections that may stand at the top for all of them: capture, detect and overlay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, field_validator

from pipeline.address import faults
from pipeline.redaction import redacted

from .section import Seconds, Section


class Capture(Section):
    """How a source is opened and read."""

    transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP carries the pictures: tcp is complete, udp never waits for a lost packet."""
    open_timeout: Seconds = 5.0
    """Seconds to connect and learn the format."""
    read_timeout: Seconds = 3.0
    """Seconds without any data, but at least 5 frame intervals, until the connection counts as dead."""
    start_timeout: Seconds = 10.0
    """Seconds the first picture may take after opening: a camera may wait for its next keyframe."""
    stall_timeout: Seconds = 3.0
    """Seconds without a good picture, but at least 5 frame intervals, until a live source is reopened."""
    frozen_after: Annotated[float, Field(ge=0, le=86400, allow_inf_nan=False)] = 60.0
    """Seconds a live picture may stay exactly the same until the camera is called frozen; 0 for never."""
    frozen_reconnect: bool = False
    """Whether a frozen camera is reopened, rather than only called so."""
    keep: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 15.0
    """Seconds of the camera's own pictures to keep in memory for clips, 24 MB at most; 0 for none."""
    pace: Literal["auto", "realtime", "fast"] = "auto"
    """How fast a file plays: realtime, fast, or auto (realtime where a window or page shows it)."""
    loop: bool = False
    """Whether a file starts again at its end."""
    quality: Literal["best", "smallest"] = "best"
    """Which pictures to take where an address or a file has several: best (the largest) or smallest."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise to turn the picture by, beside what it asks for itself: 0, 90, 180 or 270."""
    mirror: bool = False
    """Whether left and right change places, after the turn."""
    aspect: Annotated[str, Field(pattern=r"^(auto|[1-9]\d{0,3}:[1-9]\d{0,3})$")] = "auto"
    """Width to height of the whole picture before it is turned, such as 16:9; auto as the stream says."""
    width: Annotated[int, Field(ge=0, le=16384)] = 0
    """Width in pixels to ask a webcam for; 0 leaves it to the camera."""
    height: Annotated[int, Field(ge=0, le=16384)] = 0
    """Height in pixels to ask a webcam for; 0 leaves it to the camera."""
    fps: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.0
    """Frames a second to ask a webcam for, or an address of snapshots; 0 as the webcam likes, or one a second."""
    fourcc: Annotated[str, Field(pattern=r"^([ -~]{4})?$")] = "MJPG"
    """Pixel format to ask a webcam for, four letters; empty leaves it to the camera."""


Show = Literal["auto", "live", "exact"]
"""The ways of showing a camera's pictures."""


class Detect(Section):
    """Whether to look for anything, and which detections count."""

    enabled: bool = True
    """Whether anything is looked for; a camera without is not even decoded, except for those who need pictures."""
    threshold: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    """Detections with a lower score are left out."""
    labels: tuple[str, ...] = ()
    """Labels to keep, such as [person]; empty keeps all the model knows."""
    show: Show = "auto"
    """How a camera's pictures are shown: live at once with boxes carried on, exact with their own; auto by speed."""


class Overlay(Section):
    """What is drawn on the picture."""

    enabled: bool = True
    """Whether anything is drawn at all."""
    boxes: bool = True
    """A box around every detection."""
    carried: bool = False
    """Whether boxes that were carried on from an earlier picture have corners only."""
    labels: bool = True
    """Label and score at every box."""
    title: bool = True
    """The line with the camera's name, people, frames a second and age of the picture."""
    scale: Annotated[float, Field(ge=0.25, le=4, allow_inf_nan=False)] = 1.0
    """Size of lines and letters, times what fits the picture."""


def _any_name(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    """Check an address as text, also one that names a file by bytes which are none."""
    if isinstance(value, str):
        check(value.encode(errors="replace").decode())
        return value
    return check(value)


class Camera(Section):
    """One source; its sections start from the ones at the top."""

    source: Annotated[str, Field(min_length=1, max_length=4096), WrapValidator(_any_name)]
    """Camera number or device, rtsp:// or http:// address, file, or demo; fault:KIND@SECOND:ADDRESS to rehearse."""
    capture: Capture = Capture()
    """As `capture` at the top."""
    detect: Detect = Detect()
    """As `detect` at the top."""
    overlay: Overlay = Overlay()
    """As `overlay` at the top."""

    @field_validator("source", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Yield the fields for printing, without passwords."""
        for key, value in super().__repr_args__():
            yield key, redacted(self.source) if key == "source" else value

    @field_validator("source")
    @classmethod
    def _rehearsal(cls, value: str) -> str:
        faults.parse(value)
        return value
