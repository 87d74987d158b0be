"""The types that flow from stage to stage: a Frame becomes a Result, and nothing else crosses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


MAX_PICTURE_PIXELS = 8192 * 8192
"""No picture may be larger, whatever a stream says of itself."""
_MAX_PIXEL_ASPECT_RATIO = 10
"""A pixel that is more times wider than high, or higher than wide, is a mistake of whoever says so."""


@dataclass(frozen=True, slots=True)
class Presentation:
    """The way in which coded pictures are to be shown: left and right change places, then they are turned.

    Pixels that are not square are made so by stretching the shorter side, before anything is turned.
    """

    rotation: int = 0
    """Degrees counterclockwise: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Whether left and right change places, before the rotation."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel to its height, as it is coded."""

    @property
    def turned(self) -> bool:
        """Whether whoever decodes the packets alone sees the picture the wrong way round."""
        return self.rotation != 0 or self.mirrored

    def then(self, other: Presentation) -> Presentation:
        """Return what turns a picture by this one and by another one after it; the pixels keep their shape."""
        before = -self.rotation if other.mirrored else self.rotation
        return Presentation((other.rotation + before) % 360, self.mirrored != other.mirrored, self.pixel_aspect)

    def shown_size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height in square pixels, turned, of a picture of `width` x `height` coded pixels."""
        aspect = self.pixel_aspect
        if aspect != 1 and 1 / _MAX_PIXEL_ASPECT_RATIO <= aspect <= _MAX_PIXEL_ASPECT_RATIO:
            wide, tall = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
            width, height = (wide, tall) if wide * tall <= MAX_PICTURE_PIXELS else (width, height)
        return (height, width) if self.rotation % 180 else (width, height)

    def turn(self, pixels: Image) -> Image:
        """Return pixels, height x width x 3, mirrored and turned; the same array where there is nothing to do."""
        if not self.turned:
            return pixels
        mirrored = pixels[:, ::-1] if self.mirrored else pixels
        return np.ascontiguousarray(np.rot90(mirrored, self.rotation // 90))


AS_CODED = Presentation()
"""The presentation of a stream that asks for nothing."""


class Picture(Protocol):
    """The pixels of one frame, converted only when somebody asks; safe to use from any thread."""

    @property
    def width(self) -> int:
        """Pixels."""
        ...

    @property
    def height(self) -> int:
        """Pixels."""
        ...

    @property
    def presentation(self) -> Presentation:
        """What was asked for and is done: `width`, `height` and the pixels are those that a person sees."""
        ...

    def bgr(self) -> Image:
        """Return the picture at full size: height x width x 3, uint8, BGR, not writeable, converted once."""
        ...

    def resized(self, width: int, height: int) -> Image:
        """Return the picture scaled to `width` x `height` in one step from its original format, aspect not kept."""
        ...

    def glance(self) -> bytes:
        """Return a few of its values at almost no cost, to compare two pictures; empty where none can be had."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera."""

    camera: str
    """Name from the configuration."""
    seq: int
    """Counts every frame the source gave from 0, dropped ones included, so gaps show."""
    pts: float | None
    """Seconds on the source's own timeline; None where the source gives none."""
    captured: float
    """Monotonic seconds when the read returned; every latency counts from here."""
    picture: Picture
    decode: float = 0.0
    """Seconds spent in unpacking the compressed picture, before `captured`."""


@dataclass(frozen=True, slots=True, eq=False)
class Packet:
    """One compressed picture as the camera sent it, in decoding order; it comes before the Frame decoded from it."""

    camera: str
    """Name from the configuration."""
    codec: str
    """FFmpeg's name, such as h264, hevc or mjpeg."""
    data: bytes
    """The picture; of H.264 and H.265 as Annex B, with parameter sets in front of every keyframe."""
    key: bool
    """Whether decoding can start here."""
    pts: float | None
    """Seconds on the source's own timeline, the same value as the `pts` of its Frame; None where it gives none."""
    dts: float | None
    """Seconds on the same timeline when it is to be decoded; None where the source gives none."""
    captured: float
    """Monotonic seconds when it was read."""
    width: int
    """Pixels as they are coded."""
    height: int
    """Pixels as they are coded."""
    presentation: Presentation = AS_CODED
    """How it is to be shown; of that, the shape of the pixels stands in H.264, H.265 and JPEG data as well."""

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height, in square pixels, of the picture as a person sees it."""
        return self.presentation.shown_size(self.width, self.height)

    @property
    def kind(self) -> tuple[str, int, int, Presentation]:
        """What all packets of one file or connection have in common."""
        return self.codec, self.width, self.height, self.presentation


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A piece of a camera's compressed sound as it was sent, some hundredths of a second."""

    camera: str
    """Name from the configuration."""
    codec: str
    """FFmpeg's name, such as aac or opus."""
    data: bytes
    pts: float
    """Seconds on the same timeline as the camera's pictures."""
    captured: float
    """Monotonic seconds when it was read."""
    kind: str
    """What two pieces have in common that can stand in one file: codec, rate, channels and what describes them."""
    sample: bytes
    """A small file with one such piece, as a model for streams of this kind; empty where none can be made."""


class Detection(NamedTuple):
    """One object found in one frame."""

    label: str
    score: float
    """0 to 1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """The objects found in one frame, as arrays of equal length N, best score first."""

    boxes: NDArray[np.float32]
    """N x 4: left, top, right, bottom in pixels of the frame, clipped to it."""
    scores: NDArray[np.float32]
    """N scores from 0 to 1."""
    class_ids: NDArray[np.int32]
    """N indices into `labels`."""
    labels: tuple[str, ...]
    """Names of all classes of the model; shared by all of its frames."""

    @classmethod
    def empty(cls, labels: tuple[str, ...] = ()) -> Detections:
        """Make the detections of a picture without objects."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), labels)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, index: Any) -> Detections:
        """Return the detections that a mask, a slice or an array of indices selects."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return Detections(self.boxes[chosen], self.scores[chosen], self.class_ids[chosen], self.labels)

    def __iter__(self) -> Iterator[Detection]:
        rows = zip(self.boxes.tolist(), self.scores.tolist(), self.class_ids.tolist(), strict=True)
        for box, score, class_id in rows:
            yield Detection(self.label(class_id), score, (box[0], box[1], box[2], box[3]))

    def label(self, class_id: int) -> str:
        """Return the name of a class, or its number as text where the model names none."""
        return self.labels[class_id] if 0 <= class_id < len(self.labels) else str(class_id)

    def to_supervision(self) -> Any:
        """Return the same as `supervision.Detections`; needs the package supervision."""
        import supervision

        return supervision.Detections(
            xyxy=self.boxes,
            confidence=self.scores,
            class_id=self.class_ids.astype(int),
            data={"class_name": np.array([self.label(int(each)) for each in self.class_ids])},
        )


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds one frame spent in each stage up to its detections."""

    decode: float = 0.0
    """Unpacking the compressed picture."""
    wait: float = 0.0
    """Between capture and its turn for a request."""
    prepare: float = 0.0
    """Scaling the picture into the request's input."""
    infer: float = 0.0
    """From the start of the request until its result was collected."""
    parse: float = 0.0
    """Turning the output rows into detections."""


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A frame and what was found in it."""

    frame: Frame
    detections: Detections
    timing: Timing = field(default_factory=Timing)
    detected: bool = True
    """Whether anything was looked for at all: where not, no detections do not mean that nobody is there."""
    carried_s: float | None = None
    """Seconds from the picture in which the detections were found to this one; None where they are its own."""
