"""Rows of a [1,1,N,7] output to Detections, trusting none of its numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.frames import Detections

from .decoder import Pixels, Port, class_ids

_MAX_CLASS_COUNT = 1 << 20
_SHAPE = (1, 1, None, 7)


class SsdDecoder:
    """The decoder of models that do all of their own postprocessing, as those of Open Model Zoo do."""

    expects = "one output [1,1,N,7]"
    pixels = Pixels()

    def __init__(self, width: int, height: int, outputs: Sequence[Port]) -> None:
        """Take the model, whose size does not matter: its boxes are fractions of the picture."""

    @staticmethod
    def matches(inputs: Sequence[Port], outputs: Sequence[Port]) -> bool:
        """Tell whether the only output has the shape of such rows."""
        if len(inputs) != 1 or len(outputs) != 1 or outputs[0].shape is None or len(outputs[0].shape) != len(_SHAPE):
            return False
        return all(None in (size, asked) or size == asked for size, asked in zip(outputs[0].shape, _SHAPE, strict=True))

    def decode(
        self,
        outputs: Sequence[NDArray[np.float32]],
        width: int,
        height: int,
        threshold: float,
        labels: tuple[str, ...],
        keep: tuple[str, ...] = (),
    ) -> Detections:
        """Return the detections of the rows, read where they lie."""
        return parse_rows(outputs[0].reshape(-1, 7), width, height, threshold, labels, keep)


def parse_rows(
    rows: NDArray[np.float32],
    width: int,
    height: int,
    threshold: float,
    labels: tuple[str, ...],
    keep: tuple[str, ...] = (),
) -> Detections:
    """Return the detections in N x 7 rows of image_id, class, score, left, top, right, bottom (0 to 1 of the picture).

    Rows count up to the first with a negative image_id. Rows that are not finite, score below `threshold`, leave no
    area inside the picture of `width` x `height` pixels, or are of a label not in `keep` (empty: all) are left out.
    The arrays are new: nothing of `rows` is kept.
    """
    ended = rows[:, 0] < 0
    if ended.any():
        rows = rows[: int(ended.argmax())]
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[(rows[:, 2] >= np.float32(threshold)) & (rows[:, 1] >= 0) & (rows[:, 1] < _MAX_CLASS_COUNT)]
    boxes = np.clip(rows[:, 3:7], 0, 1) * np.array([width, height, width, height], np.float32)
    chosen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if keep:
        chosen &= np.isin(rows[:, 1].astype(np.int32), class_ids(labels, keep))
    rows, boxes = rows[chosen], boxes[chosen]
    order = np.argsort(-rows[:, 2], kind="stable")
    scores = np.minimum(rows[order, 2], np.float32(1))
    return Detections(boxes[order], scores, rows[order, 1].astype(np.int32), labels)
