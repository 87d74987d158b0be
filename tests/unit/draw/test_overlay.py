from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from pipeline.config.cameras import Overlay
from pipeline.draw.overlay import OverlayPainter, blank, counted, stale, strip_height, title_share
from pipeline.draw.primitives import AMBER, GREEN, INK, RED, WHITE, colour, letter_size, letters, printable
from pipeline.frames import Detections
from pipeline.stats.camera import State
from pipeline.stats.health import CameraHealth, Level, assess
from tests.support.scenes import START, HandClock, Scene, share

SIZES = [(320, 240), (640, 360), (1280, 720), (1920, 1080), (3840, 2160), (1080, 1920), (161, 121)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_box_is_drawn_in_its_colour_where_the_detection_is(scene: Scene, width: int, height: int) -> None:
    box = (0.25 * width, 0.4 * height, 0.6 * width, 0.9 * height)
    image = scene.draw(scene.result(width, height, [box]))
    left, top, right, bottom = (round(each) for each in box)
    for edge in (image[top, left:right], image[bottom, left:right], image[top:bottom, left], image[top:bottom, right]):
        assert share(edge[None], colour("person"), 3) > 0.97
    inner = image[top + height // 6 : bottom - height // 6, left + width // 8 : right - width // 8]
    assert share(inner, (70, 70, 70), 0) == 1


def test_carried_boxes_have_corners_only_where_that_is_asked_for(scene: Scene) -> None:
    own = scene.result(1280, 720, [(300, 200, 700, 600)])
    carried = replace(own, carried_s=0.1)
    middle = (slice(200, 202), slice(450, 550))
    assert share(scene.draw(carried)[middle], colour("person"), 3) == 1
    scene.settings = Overlay(carried=True)
    assert share(scene.draw(own)[middle], colour("person"), 3) == 1
    image = scene.draw(carried)
    assert share(image[middle], colour("person"), 3) == 0
    assert share(image[200:202, 300:320], colour("person"), 3) == 1


def test_the_title_says_how_old_carried_boxes_are(scene: Scene) -> None:
    own = scene.result(1280, 720)
    tall = strip_height(letter_size(1280, 720))
    ends = []
    for each in (own, replace(own, carried_s=0.1)):
        bright = (scene.draw(each)[:tall, :900] > 200).all(axis=2)
        ends.append(np.flatnonzero(bright.any(axis=0)).max())
    assert ends[1] > ends[0] + 100


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_tags_and_title_stay_inside_the_picture(scene: Scene, width: int, height: int) -> None:
    corners = [(0, 0, 0.1 * width, 0.2 * height), (0.9 * width, 0.8 * height, width, height), (-50, -50, 1e6, 1e6)]
    wide = Scene(scene.clock, "n" * 64)
    plain = np.full((height + 2, width + 2, 3), 70, np.uint8)
    image = wide.draw(wide.result(width, height, corners))
    assert image.shape == plain[1:-1, 1:-1].shape
    tall = strip_height(letter_size(width, height))
    for name, edge in (("left", image[tall:, 0]), ("right", image[tall:, -1]), ("bottom", image[-1])):
        assert share(edge[None], (24, 20, 16), 20) == 0, f"letters are cut off at the {name} edge"
    assert share(image[:tall, -1:], WHITE, 60) == 0


def test_a_tag_flips_into_the_box_when_the_box_touches_the_title(scene: Scene) -> None:
    image = scene.draw(scene.result(1280, 720, [(400, 10, 500, 400)]))
    tall = strip_height(letter_size(1280, 720))
    assert share(image[tall + 2 : tall + 14, 402:480], colour("person"), 3) > 0.4
    assert share(image[:tall, 402:480], colour("person"), 3) == 0


def test_a_tag_that_would_reach_under_the_title_stands_below_it(scene: Scene) -> None:
    tall = strip_height(letter_size(1280, 720))
    for upper in (0, tall // 2, tall, tall + 10):
        image = scene.draw(scene.result(1280, 720, [(400, upper, 700, 400)]))
        begin = max(upper, tall)
        assert share(image[begin + 2 : begin + 14, 402:480], colour("person"), 3) > 0.4
        between = image[tall + 1 : upper, 402:480]
        assert share(between, colour("person"), 3) == 0


def test_a_label_that_is_wider_than_the_picture_is_cut_with_its_tag_around_it(scene: Scene) -> None:
    image = scene.draw(scene.result(320, 240, [(100, 100, 200, 200)], shade=200, label="n" * 200))
    tag = image[90:99].astype(int)
    inked = np.flatnonzero((np.abs(tag - np.array(INK)).max(axis=2) < 60).any(axis=0))
    assert inked[0] >= 2
    assert inked[-1] <= 320 - 1 - 2
    assert len(inked) > 150


def test_the_surer_of_two_boxes_lies_on_top(scene: Scene) -> None:
    result = scene.result(1280, 720, [(300, 200, 700, 600), (300, 200, 700, 600)])
    found = result.detections
    assert found.scores[0] > found.scores[1]
    for order in ([0, 1], [1, 0]):
        labelled = Detections(found.boxes, found.scores, np.array(order, np.int32), ("person", "bike"))
        image = scene.draw(replace(result, detections=labelled))
        surer = ("person", "bike")[order[0]]
        assert share(image[200:601, 300:301], colour(surer), 3) > 0.97
        assert share(image[185:198, 302:380], colour(surer), 3) > 0.4


def test_letters_grow_with_the_picture() -> None:
    sizes = [letter_size(width, height) for width, height in SIZES[:5]]
    assert sizes == [8, 8, 12, 18, 36]
    for size in (8, 12, 36):
        canvas = np.zeros((100, 100, 3), np.uint8)
        letters(size).draw(canvas, "H", 10, 50, WHITE)
        rows = np.flatnonzero(canvas.max(axis=(1, 2)) > 127)
        assert abs(len(rows) - size) <= 2
        assert abs((rows[0] + rows[-1]) / 2 - 50) <= 1.5


def test_letters_that_the_font_lacks_become_question_marks_and_nothing_fails(scene: Scene) -> None:
    assert printable("Fu\u00dfg\u00e4nger \u4eba") == "Fu?g?nger ?"
    image = scene.draw(scene.result(label="Fu\u00dfg\u00e4nger"))
    assert share(image[90:108, 160:250], INK, 60) > 0.1


def test_boxes_that_are_not_numbers_are_left_out(scene: Scene) -> None:
    broken = scene.draw(scene.result(boxes=[(float("nan"), 0, 10, 10)]))
    assert (broken[40:] == scene.draw(scene.result(boxes=[]))[40:]).all()


@pytest.mark.parametrize(
    ("age", "state", "badge"), [(0.04, State.LIVE, GREEN), (0.9, State.LIVE, AMBER), (0.04, State.LATE, AMBER)]
)
def test_the_badge_is_green_when_live_and_amber_when_late(
    scene: Scene, age: float, state: State, badge: tuple[int, int, int]
) -> None:
    scene.camera.changed(state)
    image = scene.draw(scene.result(1280, 720, [], age=age))
    assert share(image[:30, 1160:], badge, 3) > 0.3


def test_a_frozen_camera_is_drawn_dimmed_under_red_though_pictures_keep_coming(scene: Scene) -> None:
    scene.camera.changed(State.FROZEN)
    image = scene.draw(scene.result(1280, 720))
    assert share(image[:30], RED, 3) > 0.8
    assert share(image[40:], (35, 35, 35), 2) > 0.9


def test_the_old_title_is_covered_when_the_picture_is_stale(scene: Scene) -> None:
    painted = scene.draw(scene.result(1280, 720))
    before = painted.copy()
    dimmed = stale(painted, CameraHealth(Level.BAD, "offline since 14:03:11, retry in 4 s"), "door")
    assert share(dimmed[:30], GREEN, 30) == 0
    assert share(dimmed[:30], RED, 3) > 0.8
    assert share(dimmed[:30], WHITE, 60) > 0.02
    assert (painted == before).all()
    assert dimmed[40:].max() < 130


@pytest.mark.parametrize("text", ["ended", "offline since 14:03:11, retry in 4 s"])
def test_the_reason_over_a_stale_picture_ends_one_letter_before_the_edge(text: str) -> None:
    plain = np.full((720, 1280, 3), 70, np.uint8)
    line = stale(plain, CameraHealth(Level.BAD, text), "d")[:30].astype(int)
    white = np.flatnonzero((line.min(axis=2) > 200).any(axis=0))
    size = letter_size(1280, 720)
    assert 1280 - white[-1] == pytest.approx(size, abs=3)
    assert white[0] == pytest.approx(size, abs=3)


def test_no_count_of_people_stands_on_what_was_not_detected(scene: Scene) -> None:
    nobody = scene.result(1280, 720, [])
    unknown = replace(nobody, detected=False)
    painted = [scene.draw(result)[:30, 50:700].astype(int) for result in (nobody, unknown, unknown)]
    assert np.abs(painted[0] - painted[1]).max() > 100
    assert np.abs(painted[1] - painted[2]).max() == 0


def test_every_part_can_be_switched_off(scene: Scene) -> None:
    nothing = OverlayPainter(Overlay(enabled=False), scene.camera, scene.clock)
    bare = OverlayPainter(Overlay(boxes=False, labels=False, title=False), scene.camera, scene.clock)
    untitled = OverlayPainter(Overlay(title=False, labels=False), scene.camera, scene.clock)
    result = scene.result()
    plain = result.frame.picture.bgr()
    assert nothing.draw(result) is plain
    assert (bare.draw(result) == plain).all()
    assert (untitled.draw(result)[:90] == plain[:90]).all()
    assert not (untitled.draw(result) == plain).all()


def test_the_scale_setting_makes_everything_larger(scene: Scene) -> None:
    result = scene.result(1280, 720)
    scene.settings = Overlay(scale=3)
    large = scene.draw(result)
    assert title_share(1280, 720, 3) == pytest.approx(90 / 720)
    assert share(large[60:88], (round(70 * 0.32),) * 3, 3) > 0.8


def test_the_overlay_is_drawn_once_however_many_outputs_ask(scene: Scene) -> None:
    view = scene.view()
    first = view.annotated()
    assert view.annotated() is first
    assert scene.drawn == 1
    assert not first.flags.writeable


def test_counts_are_put_in_words() -> None:
    def of(*class_ids: int, labels: tuple[str, ...] = ("person", "bike")) -> str:
        size = len(class_ids)
        ids = np.array(class_ids, np.int32)
        return counted(Detections(np.zeros((size, 4), np.float32), np.ones(size, np.float32), ids, labels))

    assert of() == "0 people"
    assert of(0) == "1 person"
    assert of(0, 0, 1) == "2 people, 1 bike"
    assert of(0, 0, labels=("face",)) == "2 face"


@pytest.mark.parametrize(
    ("state", "reason", "retry_in", "age", "expected"),
    [
        (State.LIVE, "", None, 0.042, CameraHealth(Level.GOOD, "LIVE 42 ms")),
        (State.LIVE, "", None, 0.6, CameraHealth(Level.WARN, "LATE 600 ms")),
        (State.LATE, "", None, 0.1, CameraHealth(Level.WARN, "LATE 100 ms")),
        (State.LIVE, "", None, 12.2, CameraHealth(Level.BAD, "no picture for 12 s")),
        (State.STALLED, "", None, 5.0, CameraHealth(Level.BAD, "no picture for 5 s")),
        (State.STALLED, "", None, None, CameraHealth(Level.BAD, "no picture for 90 s")),
        (State.FROZEN, "", None, 0.02, CameraHealth(Level.BAD, "frozen 90 s")),
        (State.OFFLINE, "refused", 4.2, 9.0, CameraHealth(Level.BAD, "offline since {since} (refused), retry in 4 s")),
        (State.RETRYING, "", None, 9.0, CameraHealth(Level.BAD, "offline since {since}, trying again")),
        (State.CORRUPT, "", None, 0.1, CameraHealth(Level.BAD, "damaged pictures since {since}")),
        (State.CONNECTING, "", None, None, CameraHealth(Level.IDLE, "connecting")),
        (State.LIVE, "", None, None, CameraHealth(Level.IDLE, "waiting for a picture")),
        (State.ENDED, "", None, 700.0, CameraHealth(Level.IDLE, "ended")),
    ],
)
def test_the_verdict_says_what_is_wrong(
    clock: HandClock, state: State, reason: str, retry_in: float | None, age: float | None, expected: CameraHealth
) -> None:
    camera = Scene(clock).camera
    camera.changed(State.RETRYING if state is State.OFFLINE else State.OFFLINE)
    camera.changed(state, reason, retry_in)
    given = assess(camera.figures(), START + timedelta(seconds=90), age)
    since = f"{START.astimezone():%H:%M:%S %Z}"
    assert given == CameraHealth(expected.level, expected.text.format(since=since))


def test_a_late_picture_says_how_old_it_really_is(clock: HandClock) -> None:
    camera = Scene(clock).camera
    camera.captured(behind=1.4)
    camera.changed(State.LATE)
    assert assess(camera.figures(), START, 0.1).text == "LATE 1500 ms"


def test_an_offline_camera_says_since_when_nothing_good_was_seen(clock: HandClock) -> None:
    camera = Scene(clock).camera
    camera.captured()
    clock.seconds += 60
    camera.changed(State.OFFLINE, "refused")
    clock.seconds += 60
    camera.changed(State.RETRYING)
    given = assess(camera.figures(), START + timedelta(seconds=120), 120.0)
    assert given.text == f"offline since {START.astimezone():%H:%M:%S %Z}, trying again"
    later = assess(camera.figures(), START + timedelta(days=2), 120.0)
    assert later.text == f"offline since {START.astimezone():%Y-%m-%d %H:%M:%S %Z}, trying again"


def test_a_file_is_never_called_live(clock: HandClock) -> None:
    scene = Scene(clock, live=False)
    assert assess(scene.camera.figures(), START, 0.02, live=False).text == "FILE 20 ms"
    assert assess(scene.camera.figures(), START, 60.0, live=False).level is Level.GOOD


def test_a_camera_without_any_picture_has_a_card_with_its_name() -> None:
    card = blank(640, 360, CameraHealth(Level.IDLE, "connecting"), "door")
    assert card.shape == (360, 640, 3)
    assert share(card[:20], WHITE, 60) > 0.01
