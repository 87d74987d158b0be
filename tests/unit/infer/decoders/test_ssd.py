"""Rows become detections whatever numbers stand in them."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.frames import Detections
from pipeline.infer.decoders.ssd import parse_rows

LABELS = ("person", "bike")


def parsed(*rows: tuple[float, ...], threshold: float = 0.5, keep: tuple[str, ...] = ()) -> Detections:
    return parse_rows(np.array(rows, np.float32).reshape(-1, 7), 200, 100, threshold, LABELS, keep)


def test_a_row_becomes_a_box_in_pixels() -> None:
    found = parsed((0, 1, 0.75, 0.1, 0.2, 0.5, 0.8))
    assert [(each.label, each.score) for each in found] == [("bike", 0.75)]
    np.testing.assert_allclose(found.boxes, [[20, 20, 100, 80]], rtol=1e-6)
    assert [str(each.dtype) for each in (found.boxes, found.scores, found.class_ids)] == ["float32", "float32", "int32"]


def test_rows_end_at_the_first_negative_image_id() -> None:
    good, end = (0, 0, 0.9, 0, 0, 1, 1), (-1, 0, 0, 0, 0, 0, 0)
    assert len(parsed(good, good, end, good)) == 2
    assert len(parsed(end, good)) == 0


def test_two_hundred_full_rows_need_no_end() -> None:
    assert len(parsed(*[(0, 0, 0.9, 0, 0, 1, 1)] * 200)) == 200


def test_no_rows_are_no_detections() -> None:
    found = parsed()
    assert (found.boxes.shape, found.scores.shape, found.class_ids.shape) == ((0, 4), (0,), (0,))
    assert found.labels == LABELS


@pytest.mark.parametrize("column", range(7))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_left_out(column: int, value: float) -> None:
    bad = [0, 0, 0.9, 0.1, 0.1, 0.9, 0.9]
    bad[column] = value
    ends = column == 0 and value == -np.inf
    assert len(parsed(tuple(bad), (0, 0, 0.8, 0, 0, 1, 1))) == (0 if ends else 1)


def test_the_threshold_itself_counts() -> None:
    rows = [(0, 0, score, 0, 0, 1, 1) for score in (0.29, 0.3, 0.31)]
    assert len(parsed(*rows, threshold=0.3)) == 2


def test_boxes_are_clipped_to_the_picture_and_empty_ones_left_out() -> None:
    found = parsed(
        (0, 0, 0.9, -0.5, -3e38, 1.5, 3e38),
        (0, 0, 0.8, 1.1, 0.2, 1.4, 0.4),
        (0, 0, 0.8, 0.5, 0.5, 0.5, 0.9),
        (0, 0, 0.8, 0.9, 0.1, 0.2, 0.9),
    )
    assert found.boxes.tolist() == [[0, 0, 200, 100]]


def test_the_best_score_comes_first_and_equals_keep_their_order() -> None:
    found = parsed(
        *[(0, 0, score, 0, 0, right, 1) for score, right in ((0.6, 0.1), (0.9, 0.2), (0.6, 0.3), (0.7, 0.4))]
    )
    assert found.boxes[:, 2].round().astype(int).tolist() == [40, 80, 20, 60]


def test_many_equal_scores_keep_their_order() -> None:
    found = parsed(*[(0, each, (0.6, 0.9, 0.7)[each % 3], 0, 0, 1, 1) for each in range(200)])
    assert found.class_ids.tolist() == [*range(1, 200, 3), *range(2, 200, 3), *range(0, 200, 3)]


@pytest.mark.parametrize(
    ("keep", "class_ids"),
    [((), [0, 1, 7]), (("person",), [0]), (("bike", "person"), [0, 1]), (("7",), [7]), (("dog",), [])],
)
def test_only_the_labels_asked_for_are_kept(keep: tuple[str, ...], class_ids: list[int]) -> None:
    rows = [(0, each, 0.9 - each / 100, 0, 0, 1, 1) for each in (0, 1, 7)]
    assert parsed(*rows, keep=keep).class_ids.tolist() == class_ids


def test_a_class_that_no_model_has_is_left_out() -> None:
    assert len(parsed((0, -1, 0.9, 0, 0, 1, 1), (0, 1e30, 0.9, 0, 0, 1, 1))) == 0


def test_a_score_never_exceeds_one() -> None:
    assert parsed((0, 0, 1.0000001, 0, 0, 1, 1), (0, 0, 5, 0, 0, 1, 1)).scores.tolist() == [1, 1]


def test_nothing_of_the_rows_is_kept() -> None:
    rows = np.array([(0, 0, 0.9, 0.1, 0.2, 0.5, 0.8)], np.float32)
    found = parse_rows(rows, 200, 100, 0.5, LABELS)
    before = found.boxes.copy(), found.scores.copy(), found.class_ids.copy()
    rows[:] = 7
    for kept, copy in zip((found.boxes, found.scores, found.class_ids), before, strict=True):
        assert (kept == copy).all()


def test_any_rows_give_boxes_inside_the_picture_best_first() -> None:
    random = np.random.default_rng(7)
    for _ in range(300):
        rows = random.normal(0.3, 1, (random.integers(0, 201), 7)).astype(np.float32)
        rows[:, 0] = random.choice([0, 0, 0, 0, -1], len(rows)) if random.random() < 0.3 else 0
        rows[random.random(rows.shape) < 0.02] = random.choice([np.nan, np.inf, -np.inf, 1e38, -1e38])
        found = parse_rows(rows, 640, 360, 0.25, LABELS)
        left, top, right, bottom = found.boxes.T
        assert ((left >= 0) & (top >= 0) & (right <= 640) & (bottom <= 360) & (left < right) & (top < bottom)).all()
        assert ((found.scores >= np.float32(0.25)) & (found.scores <= 1)).all()
        assert (np.diff(found.scores) <= 0).all()
