"""The contract of what turns a network's numbers into detections, and how a picture gets into its input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.frames import Detections


class Port(NamedTuple):
    """One input or output of a model."""

    name: str
    """Empty where it has none."""
    shape: tuple[int | None, ...] | None
    """Its sizes, None for one that is free; None as a whole where even their number is."""


class Pixels(NamedTuple):
    """The preparation of pictures for the input of a model."""

    fit: Literal["stretch", "letterbox"] = "stretch"
    """Scaled to the input's size, or as large as its aspect allows, in the middle of grey bars."""
    order: Literal["bgr", "rgb"] = "bgr"
    scale: float = 1.0
    """What the values from 0 to 255 are divided by; costs nothing, being done by the model."""


class Decoder(Protocol):
    """The reader of one model's outputs; made once for a model, used by one thread at a time."""

    pixels: Pixels

    def decode(
        self,
        outputs: Sequence[NDArray[np.float32]],
        width: int,
        height: int,
        threshold: float,
        labels: tuple[str, ...],
        keep: tuple[str, ...] = (),
    ) -> Detections:
        """Return the detections in a picture of `width` x `height` pixels, best score first.

        `outputs` are all outputs of the model in its order: memory of the request, of which nothing may be kept.
        Scores below `threshold` and labels not in `keep` (empty: all) are left out.
        """
        ...


class DecoderClass(Protocol):
    """A family of models that are read alike; calling it makes the decoder of one of them."""

    expects: str
    """The outputs that it reads, for a message: `one output [1,1,N,7]`."""

    def matches(self, inputs: Sequence[Port], outputs: Sequence[Port]) -> bool:
        """Tell whether it can read a model with these inputs and outputs, made ready for one picture."""
        ...

    def __call__(self, width: int, height: int, outputs: Sequence[Port]) -> Decoder:
        """Make the decoder of a model whose input is `width` x `height` pixels."""
        ...


class Letterbox(NamedTuple):
    """The place of a picture in an input whose aspect is not its own; pixels of the input."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def of(cls, picture: tuple[int, int], model: tuple[int, int]) -> Letterbox:
        """Lay a picture of this width and height into the middle of an input of that width and height."""
        scale = min(model[0] / picture[0], model[1] / picture[1])
        width, height = (max(1, round(size * scale)) for size in picture)
        return cls((model[0] - width) // 2, (model[1] - height) // 2, width, height)

    def undone(self, boxes: NDArray[np.float32], picture: tuple[int, int]) -> NDArray[np.float32]:
        """Return N x 4 boxes in pixels of the input as boxes in pixels of the picture, not clipped to it."""
        begin = np.array([self.left, self.top, self.left, self.top], np.float32)
        scale = np.array([picture[0] / self.width, picture[1] / self.height] * 2, np.float32)
        return (boxes - begin) * scale


@lru_cache(maxsize=64)
def class_ids(labels: tuple[str, ...], keep: tuple[str, ...]) -> list[int]:
    """Return the class numbers of the labels to keep; a number beyond the named classes stands for itself."""
    named = [index for index, label in enumerate(labels) if label in keep]
    return named + [int(each) for each in keep if each.isdecimal() and int(each) >= len(labels)]
