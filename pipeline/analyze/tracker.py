"""Who is the same person as a moment ago, and where he is by now: detections of one camera joined to tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.frames import Detections

_POSITION_NOISE_RATIO = 0.1
"""Standard deviation of a measured centre or size, in heights of the box."""
_SPEED_NOISE_RATIO = 1.0
"""Standard deviation of the change of speed within a second, in heights of the box a second."""
_FIRST_SPEED_RATIO = 1.0
"""Standard deviation of the speed of somebody seen for the first time, in heights of the box a second."""
_SIZE_SPEED_RATIO = 0.1
"""The same for the change of size: people come nearer more slowly than they walk past."""
_MEASURED_RATIO = 0.75
"""How much of a shown box is the newest detection, the rest being the filter's: that alone trails behind limbs."""
_MIN_IOU_RATIO = 0.1
"""Least overlap of a predicted box with a detection that may be the same person."""
_REACH_RATIO = 0.8
"""Farthest that somebody whose box overlaps none may have come since, in heights of the box."""
_MAX_GAP_S = 2.0
"""Seconds between two looks after which nobody is known any more."""
_MISSED_S = 0.6
"""Seconds that somebody who is not found is still looked for."""
_MIN_INSIDE_RATIO = 0.3
"""Least share of a predicted box inside the picture: with less of it there, the person has left."""

Floats = NDArray[np.float64]


class Tracker:
    """The tracks of one camera; not safe from several threads.

    Each has a number of its own and a state of position (centre x, centre y, width, height in pixels) and speed
    (pixels a second), estimated by a Kalman filter for constant speed whose steps are as long as the time between two
    looks really was (R. E. Kalman, 1960; white noise of the acceleration: Bar-Shalom, Estimation with Applications to
    Tracking and Navigation, 6.2). The four coordinates are independent of each other, so that the covariance of each
    is 2 x 2: of position, of both, of speed.
    """

    def __init__(self) -> None:
        self._next = 1
        self._seen: float | None = None
        self._forget()

    def _forget(self) -> None:
        self._ids: NDArray[np.int64] = np.zeros(0, np.int64)
        self._position: Floats = np.zeros((0, 4))
        self._speed: Floats = np.zeros((0, 4))
        self._measured: Floats = np.zeros((0, 4))
        self._covariance: Floats = np.zeros((3, 0, 4))
        self._missed: Floats = np.zeros(0)
        self._scores: NDArray[np.float32] = np.zeros(0, np.float32)
        self._classes: NDArray[np.int32] = np.zeros(0, np.int32)
        self._labels: tuple[str, ...] = ()

    @property
    def seen(self) -> float | None:
        """When the last detections were made, in seconds of whatever clock `update` is told; None before the first."""
        return self._seen

    def update(self, detections: Detections, seconds: float) -> NDArray[np.int64]:
        """Take what was found in the picture of that time; return the number of each detection's track.

        Times need not be regular; one that is long after the last, or before it, starts everything anew.
        """
        if self._seen is None or not 0 < seconds - self._seen <= _MAX_GAP_S:
            self._forget()
            passed_s = 0.0
        else:
            passed_s = seconds - self._seen
        self._seen = seconds
        self._labels = detections.labels
        self._advance(passed_s)
        measured = _centred(detections.boxes.astype(np.float64))
        tracks, found = self._match(measured, detections.class_ids)
        self._missed += passed_s
        self._correct(tracks, measured[found])
        self._scores[tracks] = detections.scores[found]
        ids = np.zeros(len(detections), np.int64)
        ids[found] = self._ids[tracks]
        self._keep(self._missed <= _MISSED_S)
        new = np.setdiff1d(np.arange(len(detections)), found)
        ids[new] = self._begin(measured[new], detections.scores[new], detections.class_ids[new])
        return ids

    def at(self, seconds: float, width: int, height: int) -> Detections:
        """Return where those who were found last are at a time, in pixels of a picture of `width` x `height`.

        Those who have left the picture by then are not among them.
        """
        ahead_s = max(0.0, seconds - (self._seen or seconds))
        present = self._missed == 0
        newest = _MEASURED_RATIO * self._measured[present] + (1 - _MEASURED_RATIO) * self._position[present]
        boxes = _edges(newest + self._speed[present] * ahead_s)
        inside = boxes.clip(0, (width, height, width, height))
        stays = _areas(inside) >= _MIN_INSIDE_RATIO * _areas(boxes)
        order = np.argsort(-self._scores[present][stays], kind="stable")
        return Detections(
            inside[stays][order].astype(np.float32),
            self._scores[present][stays][order],
            self._classes[present][stays][order],
            self._labels,
        )

    def _advance(self, passed_s: float) -> None:
        """Move every track on by that many seconds, and trust it the less."""
        heights = self._position[:, 3:4]
        noise = np.concatenate([np.full(2, _SPEED_NOISE_RATIO), np.full(2, _SIZE_SPEED_RATIO)]) * heights
        self._position += self._speed * passed_s
        place, both, speed = self._covariance
        power = noise**2
        self._covariance = np.stack(
            [
                place + 2 * both * passed_s + speed * passed_s**2 + power * passed_s**3 / 3,
                both + speed * passed_s + power * passed_s**2 / 2,
                speed + power * passed_s,
            ]
        )
        self._position[:, 2:] = np.maximum(self._position[:, 2:], 1.0)

    def _match(self, measured: Floats, classes: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which track and which detection are the same person: the greatest overlap first, then the nearest."""
        if not len(self._ids) or not len(measured):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        allowed = self._classes[:, None] == classes[None]
        overlaps = ious(_edges(self._position), _edges(measured))
        tracks, found = _greedy(np.where(allowed, overlaps, -1.0), _MIN_IOU_RATIO)
        offsets = self._position[:, None, :2] - measured[None, :, :2]
        nearness = 1.0 - np.linalg.norm(offsets, axis=2) / (_REACH_RATIO * np.maximum(self._position[:, None, 3], 1.0))
        sizes = self._position[:, None, 3] / np.maximum(measured[None, :, 3], 1.0)
        allowed &= (sizes > 0.6) & (sizes < 1.7)
        allowed[tracks] = False
        allowed[:, found] = False
        more_tracks, more_found = _greedy(np.where(allowed, nearness, -1.0), 0.0)
        return np.concatenate([tracks, more_tracks]), np.concatenate([found, more_found])

    def _correct(self, tracks: NDArray[np.intp], measured: Floats) -> None:
        place, both, speed = self._covariance[:, tracks]
        noise = (_POSITION_NOISE_RATIO * np.maximum(measured[:, 3:4], 1.0)) ** 2
        share = place + noise
        gain, speed_gain = place / share, both / share
        error = measured - self._position[tracks]
        self._position[tracks] += gain * error
        self._speed[tracks] += speed_gain * error
        self._covariance[:, tracks] = np.stack([(1 - gain) * place, (1 - gain) * both, speed - speed_gain * both])
        self._measured[tracks] = measured
        self._missed[tracks] = 0.0

    def _keep(self, chosen: NDArray[np.bool_]) -> None:
        self._ids, self._missed = self._ids[chosen], self._missed[chosen]
        self._scores, self._classes = self._scores[chosen], self._classes[chosen]
        self._position, self._speed = self._position[chosen], self._speed[chosen]
        self._measured = self._measured[chosen]
        self._covariance = self._covariance[:, chosen]

    def _begin(self, measured: Floats, scores: NDArray[np.float32], classes: NDArray[np.int32]) -> NDArray[np.int64]:
        count = len(measured)
        ids = np.arange(self._next, self._next + count)
        self._next += count
        heights = np.repeat(measured[:, 3:4], 4, axis=1)
        speeds = np.array([_FIRST_SPEED_RATIO, _FIRST_SPEED_RATIO, _SIZE_SPEED_RATIO, _SIZE_SPEED_RATIO]) * heights
        covariance = np.stack([(_POSITION_NOISE_RATIO * heights) ** 2, np.zeros_like(heights), speeds**2])
        self._ids = np.concatenate([self._ids, ids])
        self._position = np.concatenate([self._position, measured])
        self._speed = np.concatenate([self._speed, np.zeros((count, 4))])
        self._measured = np.concatenate([self._measured, measured])
        self._covariance = np.concatenate([self._covariance, covariance], axis=1)
        self._missed = np.concatenate([self._missed, np.zeros(count)])
        self._scores = np.concatenate([self._scores, scores])
        self._classes = np.concatenate([self._classes, classes])
        return ids


def _centred(boxes: Floats) -> Floats:
    """Return N boxes of left, top, right, bottom as centre x, centre y, width, height."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    return np.concatenate([boxes[:, :2] + sizes / 2, sizes], axis=1)


def _edges(centred: Floats) -> Floats:
    """Return N boxes of centre x, centre y, width, height as left, top, right, bottom."""
    half = centred[:, 2:] / 2
    return np.concatenate([centred[:, :2] - half, centred[:, :2] + half], axis=1)


def _areas(boxes: Floats) -> Floats:
    areas: Floats = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0.0), axis=1)
    return areas


def ious(ones: Floats, others: Floats) -> Floats:
    """Return the overlap, 0 to 1, of each of N boxes with each of M: N x M."""
    upper = np.maximum(ones[:, None, :2], others[None, :, :2])
    lower = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(lower - upper, 0.0), axis=2)
    together = _areas(ones)[:, None] + _areas(others)[None] - shared
    return np.asarray(shared / np.maximum(together, 1e-9), np.float64)


def _greedy(worth: Floats, least: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return rows and columns in pairs, the pair of the greatest worth first, each used once, none below `least`."""
    rows, columns = np.nonzero(worth > least)
    order = np.argsort(-worth[rows, columns], kind="stable")
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    pairs = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            pairs.append((row, column))
    taken = np.array(pairs, np.intp).reshape(-1, 2)
    return taken[:, 0], taken[:, 1]
