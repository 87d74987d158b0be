"""The schema of the configuration: every key, its default and its rule stand here and nowhere else.

Durations are seconds. A section at the top is the default for all cameras; the same section under a
camera overrides it key by key. `load.py` reads YAML into these classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, WrapValidator, field_validator, model_validator

from pipeline.address import faults as drill
from pipeline.redaction import redacted

from .outputs import OutputEntry, checked_entry, output_model, settings_of
from .section import Seconds, Section

if TYPE_CHECKING:
    Output = OutputEntry
else:
    Output = output_model()

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


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
    width: Annotated[int, Field(ge=0, le=16384)] = 0
    """Width in pixels to ask a webcam for; 0 leaves it to the camera."""
    height: Annotated[int, Field(ge=0, le=16384)] = 0
    """Height in pixels to ask a webcam for; 0 leaves it to the camera."""
    fps: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.0
    """Frames a second to ask a webcam for; 0 leaves it to the camera."""
    fourcc: Annotated[str, Field(pattern=r"^([ -~]{4})?$")] = "MJPG"
    """Pixel format to ask a webcam for, four letters; empty leaves it to the camera."""


class Detect(Section):
    """Whether to look for anything, and which detections count."""

    enabled: bool = True
    """Whether anything is looked for; a camera without is not even decoded, except for those who need pictures."""
    threshold: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    """Detections with a lower score are left out."""
    labels: tuple[str, ...] = ()
    """Labels to keep, such as [person]; empty keeps all the model knows."""


class Overlay(Section):
    """What is drawn on the picture."""

    enabled: bool = True
    """Whether anything is drawn at all."""
    boxes: bool = True
    """A box around every detection."""
    labels: bool = True
    """Label and score at every box."""
    title: bool = True
    """The line with the camera's name, people, frames a second and age of the picture."""
    scale: Annotated[float, Field(ge=0.25, le=4, allow_inf_nan=False)] = 1.0
    """Size of lines and letters, times what fits the picture."""


class Camera(Section):
    """One source; its sections start from the ones at the top."""

    source: Annotated[str, Field(min_length=1, max_length=4096)]
    """Camera number, /dev/video*, rtsp:// or http:// address, file, or demo; fault:KIND@SECOND:ADDRESS to rehearse."""
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
        drill.parse(value)
        return value


class Model(Section):
    """Which detector runs."""

    name: Annotated[str, Field(min_length=1)] = "auto"
    """A known model, an .xml or .onnx file, or auto: person-detection-0202 if it can be had, else the bundled one."""
    precision: Literal["FP16-INT8", "FP16", "FP32"] = "FP16-INT8"
    """Which of the official files of a known model."""
    folder: str | None = None
    """Where to look first, laid out NAME/PRECISION/NAME.xml; also LOOKOUT_MODELS in the environment."""
    download: bool = True
    """Whether a known model that is not at hand may be fetched."""
    labels: tuple[str, ...] = ()
    """Names of the classes 0, 1, ... of a model given by path."""


class Infer(Section):
    """How the model runs."""

    device: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:,()-]+$")] = "AUTO"
    """CPU, GPU, GPU.1, NPU, AUTO, AUTO:GPU,CPU, HETERO:GPU,CPU or MULTI:GPU,CPU."""
    hint: Literal["auto", "latency", "throughput"] = "auto"
    """What to optimise; auto takes latency where a source is live, throughput for files."""
    requests: Annotated[int, Field(ge=0, le=256)] = 0
    """Pictures in flight on the device; 0 takes what the device advises, for throughput twice that."""
    streams: Annotated[int, Field(ge=0, le=256)] = 0
    """Parallel streams of the device; 0 leaves it to the hint."""
    threads: Annotated[int, Field(ge=0, le=1024)] = 0
    """CPU threads for inference; 0 leaves it to the device."""
    timeout: Seconds = 10.0
    """Seconds one inference may take before the device counts as hung."""
    cache: str | None = None
    """Folder for compiled models: quicker starts on GPU and NPU."""
    properties: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Any other OpenVINO property, such as INFERENCE_PRECISION_HINT: f32."""


class Config(Section):
    """The whole configuration; `Config()` is the drawn demo."""

    cameras: dict[Name, Camera] = Field(default={"demo": Camera(source="demo")}, min_length=1, max_length=256)
    """NAME: ADDRESS, or NAME: with source: ADDRESS and the sections to override."""
    capture: Capture = Capture()
    """How sources are opened and read."""
    detect: Detect = Detect()
    """What is looked for; `detect: false` for nothing."""
    overlay: Overlay = Overlay()
    """What is drawn on the picture."""
    model: Model = Model()
    """Which detector runs."""
    infer: Infer = Infer()
    """How the model runs."""
    outputs: tuple[Annotated[Output, WrapValidator(checked_entry), SerializeAsAny()], ...] | None = None
    """Where results go; none given opens a window, or the page where there is no display."""
    stop_timeout: Seconds = 2.0
    """Seconds everything may take to end."""

    @field_validator("outputs")
    @classmethod
    def _together(cls, outputs: tuple[Output, ...] | None) -> tuple[Output, ...] | None:
        kinds = [output.kind for output in outputs or ()]
        for kind in dict.fromkeys(kinds):
            if (settings := settings_of(kind)) is not None:
                settings.check_among(kinds)
        return outputs

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, data: Any) -> Any:
        """Let cameras start from the sections at the top, however the configuration was made."""
        if not isinstance(data, dict) or not isinstance(cameras := data.get("cameras", {"demo": "demo"}), dict):
            return data
        top = {key: _plain(data[key]) for key in ("capture", "detect", "overlay") if key in data}
        return data | {"cameras": {name: _inherited(camera, top) for name, camera in cameras.items()}}


def _plain(section: Any) -> Any:
    return section.model_dump(exclude_unset=True) if isinstance(section, Section) else section


def _inherited(camera: Any, top: dict[str, Any]) -> Any:
    """Return a camera's keys over those at the top; an address alone is a camera too."""
    own = {"source": camera} if isinstance(camera, str | int) else _plain(camera)
    if not isinstance(own, dict):
        return camera
    merged = dict(own)
    for key, default in top.items():
        section = _plain(own.get(key, {}))
        merged[key] = default | section if isinstance(default, dict) and isinstance(section, dict) else section
    return merged
