"""What is known of how the pictures of one connection are shown: from the container, the stream itself, and by hand."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import av.sidedata.sidedata

from pipeline.config.cameras import Capture
from pipeline.frames import AS_CODED, Presentation
from pipeline.media.nal import PARAMETER_SETS, PICTURES, length_prefix, prefixed_units, unit_type, units
from pipeline.media.presentation import from_matrix, from_units

_MAX_HEAD_BYTES = 16_384
_MAX_CHANGE_COUNT = 64


def by_hand(settings: Capture) -> Presentation:
    """Return the turn that the configuration asks for, of whatever comes."""
    return Presentation(-settings.rotate % 360).then(Presentation(mirrored=settings.mirror))


def pixel_aspect(settings: Capture, width: int, height: int) -> Fraction | None:
    """Return the shape of the pixels of pictures of that size where the configuration says it."""
    if settings.aspect == "auto" or not (width and height):
        return None
    across, down = map(int, settings.aspect.split(":"))
    return Fraction(across * height, down * width)


class PresentationTracker:
    """Used by one thread. What an SEI message says holds until the next one says otherwise, and goes before the rest.

    A container's word is only found in the first picture that its decoder makes: `declared` says whether one was seen.
    """

    def __init__(
        self,
        settings: Capture | None = None,
        stream: av.VideoStream | None = None,
        decoder: av.VideoCodecContext | None = None,
    ) -> None:
        """Take the stream as the container describes it, and its decoder, which has made no picture yet."""
        self.declared = False
        self._settings = settings or Capture()
        self._by_hand = by_hand(self._settings)
        self._decoder = decoder
        self._codec = decoder.name if decoder is not None else ""
        self._prefix = length_prefix(self._codec, decoder.extradata or b"") if decoder is not None else 0
        said = stream.sample_aspect_ratio if stream is not None else None
        coded = decoder.sample_aspect_ratio if decoder is not None else None
        self._aspect = said or AS_CODED.pixel_aspect
        self._aspect_is_coded = not said or said == coded
        self._container = AS_CODED
        self._rotation = 0
        self._changes: deque[tuple[int | None, Presentation]] = deque(maxlen=_MAX_CHANGE_COUNT)

    def packet(self, packet: av.Packet[Any]) -> None:
        """Note what a packet says, before it is decoded."""
        if self._codec not in PARAMETER_SETS or not packet.size:
            return
        asked = from_units(self._head(memoryview(packet)), self._codec)
        if asked is not None and (not self._changes or asked != self._changes[-1][1]):
            self._changes.append((packet.pts, asked))

    def picture(self, frame: av.VideoFrame) -> None:
        """Note what the decoder says of a picture that it has made."""
        # Whose side data was looked at holds itself in a circle, so that its memory is only freed much later.
        if not self._changes and (not self.declared or frame.rotation != self._rotation):
            matrix = display_matrix(frame)
            self._container = AS_CODED if matrix is None else from_matrix(matrix)
            self._rotation = frame.rotation
        self.declared = True
        if self._aspect_is_coded and self._decoder is not None:
            self._aspect = self._decoder.sample_aspect_ratio or self._aspect

    def of_packet(self, width: int, height: int) -> Presentation:
        """Return how the newest packet is to be shown, whose picture has that coded size."""
        return self._whole(self._changes[-1][1] if self._changes else self._container, width, height)

    def of_picture(self, frame: av.VideoFrame) -> Presentation:
        """Return how a picture is to be shown, which later packets may have overtaken."""
        self.picture(frame)
        asked = self._container
        for pts, change in reversed(self._changes):
            asked = change
            if pts is None or frame.pts is None or pts <= frame.pts:
                break
        return self._whole(asked, frame.width, frame.height)

    def _whole(self, asked: Presentation, width: int, height: int) -> Presentation:
        aspect = pixel_aspect(self._settings, width, height) or self._aspect
        if aspect == AS_CODED.pixel_aspect and self._by_hand == AS_CODED:
            return asked
        return replace(asked.then(self._by_hand), pixel_aspect=aspect)

    def _head(self, data: memoryview) -> list[bytes]:
        """Return the units in front of the picture's own data."""
        head = []
        if self._prefix:
            found = prefixed_units(bytes(data[:_MAX_HEAD_BYTES]), self._prefix)
        else:
            found = units(bytes(data[:_MAX_HEAD_BYTES]))
        for unit in found:
            if unit_type(unit, self._codec) in PICTURES[self._codec]:
                break
            head.append(unit)
        return head


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Return the nine numbers of a picture's display matrix; None where it has none."""
    # `frame.side_data` would tie the frame, with all its pixels, to itself until the collector comes by.
    found: Any = av.sidedata.sidedata.SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    return None if found is None else tuple(memoryview(found).cast("B").cast("i"))


@classmethod  # type: ignore[misc]
def _unnamed(cls: Any, value: int) -> Any:
    """Make a name for a kind of side data that PyAV does not know, such as EXIF, which else hides all the others."""
    member = object.__new__(cls)
    member._name_, member._value_ = f"KIND_{value}", value
    return member


av.sidedata.sidedata.Type._missing_ = _unnamed  # type: ignore[method-assign, assignment]
