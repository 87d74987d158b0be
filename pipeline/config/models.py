"""Which detector runs, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from .section import Seconds, Section


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
