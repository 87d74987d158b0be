"""Known models: where to look for their files, how to know the real ones, where to fetch them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Located:
    """A model whose files are on this machine."""

    name: str
    precision: str
    """FP16-INT8, FP16 or FP32; empty for a model given by path."""
    xml: Path
    """The .xml (its .bin beside it) or .onnx file."""
    labels: tuple[str, ...]
    """Names of the classes 0, 1, ...; empty where nobody named them."""
    origin: str
    """Where it came from: path, models folder, LOOKOUT_MODELS, cache, download or bundled."""
