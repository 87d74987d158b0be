"""Rows of a [1,1,N,7] output to Detections, trusting none of its numbers."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.frames import Detections

_CLASSES = 1 << 20


def parse_rows(
    rows: NDArray[np.float32],
    width: int,
    height: int,
    threshold: float,
    labels: tuple[str, ...],
    keep: tuple[str, ...] = (),
) -> Detections:
    """The detections in N x 7 rows of image_id, class, score, left, top, right, bottom (0 to 1 of the picture).

    Rows count up to the first with a negative image_id. Rows that are not finite, score below `threshold`, leave no
    area inside the picture of `width` x `height` pixels, or are of a label not in `keep` (empty: all) are left out.
    The arrays are new: nothing of `rows` is kept.
    """
    ended = rows[:, 0] < 0
    if ended.any():
        rows = rows[: int(ended.argmax())]
    rows = rows[np.isfinite(rows).all(axis=1)]
    rows = rows[(rows[:, 2] >= np.float32(threshold)) & (rows[:, 1] >= 0) & (rows[:, 1] < _CLASSES)]
    boxes = np.clip(rows[:, 3:7], 0, 1) * np.array([width, height, width, height], np.float32)
    chosen = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if keep:
        chosen &= np.isin(rows[:, 1].astype(np.int32), _class_ids(labels, keep))
    rows, boxes = rows[chosen], boxes[chosen]
    order = np.argsort(-rows[:, 2], kind="stable")
    scores = np.minimum(rows[order, 2], np.float32(1))
    return Detections(boxes[order], scores, rows[order, 1].astype(np.int32), labels)


@lru_cache(maxsize=64)
def _class_ids(labels: tuple[str, ...], keep: tuple[str, ...]) -> list[int]:
    named = [index for index, label in enumerate(labels) if label in keep]
    return named + [int(each) for each in keep if each.isdecimal() and int(each) >= len(labels)]
