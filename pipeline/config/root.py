"""The whole configuration: every key, its default and its rule stand in classes of this package, or beside an output.

Durations are seconds. A section at the top is the default for all cameras; the same section under a
camera overrides it key by key. `load.py` reads YAML into these classes.
"""

from __future__ import annotations

import unicodedata
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    WrapValidator,
    field_validator,
    model_validator,
)

from .cameras import Camera, Capture, Detect, Overlay
from .models import Infer, Model
from .outputs import BUILT_IN, OutputEntry, checked_entry, output_model, settings_of
from .section import Seconds, Section

if TYPE_CHECKING:
    Output = OutputEntry
else:
    import_module(BUILT_IN)
    Output = output_model()

_MAX_NAME_BYTES = 160
"""Bytes of a camera's name, so that the names of its files fit every disk."""


def _nameable(name: str) -> str:
    """Return the name of a camera, letters composed; ValueError if it cannot be part of the names of files."""
    name = unicodedata.normalize("NFC", name)
    known = all(letter in "_-" or unicodedata.category(letter)[0] in "LMN" for letter in name)
    if not known or len(name.encode(errors="replace")) > _MAX_NAME_BYTES:
        raise ValueError(name)
    return name


# For editors, whose patterns know no letters of all languages: anything but spaces and the signs of ASCII.
Name = Annotated[str, Field(pattern=r"^[^\x00-,./:-@\[-^`{-\x7f\s]{1,64}$"), AfterValidator(_nameable)]


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

    _file: str | None = PrivateAttr(default=None)

    @property
    def file(self) -> str | None:
        """The file that it was read from; None where it was made otherwise."""
        return self._file

    @field_validator("outputs")
    @classmethod
    def _together(cls, outputs: tuple[Output, ...] | None) -> tuple[Output, ...] | None:
        kinds = [output.kind for output in outputs or ()]
        for kind in dict.fromkeys(kinds):
            if (settings := settings_of(kind)) is not None:
                settings.check_among(kinds)
        return outputs

    @field_validator("cameras")
    @classmethod
    def _distinct(cls, cameras: dict[str, Camera]) -> dict[str, Camera]:
        first: dict[str, str] = {}
        for name in cameras:
            same = first.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
            if same != name:
                raise ValueError(f"{same} and {name} are one name to many disks; call one of them otherwise")
        return cameras

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
