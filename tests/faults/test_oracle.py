"""The judge of the fault suite finds every kind of wrong history, and nothing in a right one."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.faults.oracle import (
    Change,
    Circumstances,
    History,
    Shown,
    Told,
    Verdict,
    complaints,
    leaks,
    longest_wait,
    slope,
    uneven,
    unharmed,
)

FPS = 4.0
BEGAN = 1000.0
DONE = Circumstances(spoilt=1010.0, healed=1020.0, began=BEGAN, fps=FPS, pictures=120)
VERDICT = Verdict("connecting live (stalled:timed-out retrying )+live", (2.0, 3.5), 3.0, 1.0)


def shown(at: float, seq: int, late: float = 0.1) -> Shown:
    return Shown(at, seq, round((at - late - BEGAN) * FPS) % 120, (320, 240), ((10.0, 10.0, 50.0, 100.0),))


def right() -> History:
    """A camera that stalled when it was made to, and came back."""
    changes = [Change(1001.0, "connecting", ""), Change(1001.5, "live", ""), Change(1013.0, "stalled", "timed out")]
    changes += [Change(1013.2, "retrying", ""), Change(1020.8, "live", "")]
    pictures = [1001.5 + n / FPS for n in range(34)] + [1020.8 + n / FPS for n in range(20)]
    return History(changes, [shown(at, seq) for seq, at in enumerate(pictures)])


def test_nothing_is_wrong_with_a_right_history() -> None:
    assert complaints(VERDICT, right(), DONE) == []


def spoil_states(history: History) -> None:
    history.changes[2] = replace(history.changes[2], reason="refused")


def spoil_end(history: History) -> None:
    history.changes.append(Change(1030.0, "stalled", "timed out"))


def spoil_silence(history: History) -> None:
    del history.changes[2:]


def spoil_early(history: History) -> None:
    history.changes[2] = replace(history.changes[2], at=1010.5)


def spoil_late(history: History) -> None:
    history.changes[2] = replace(history.changes[2], at=1016.0)


def spoil_return(history: History) -> None:
    history.shown = [each for each in history.shown if not 1020 <= each.at <= 1025]


def spoil_no_return(history: History) -> None:
    history.shown = [each for each in history.shown if each.at < 1020]


def spoil_age(history: History) -> None:
    history.shown[20] = shown(history.shown[20].at, 20, late=4.0)


def spoil_order(history: History) -> None:
    history.shown[20] = replace(history.shown[20], seq=3)


def spoil_box(history: History) -> None:
    history.shown[20] = replace(history.shown[20], boxes=((10.0, 10.0, 50.0, 300.0),))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_states, "states are 'connecting live stalled:refused"),
        (spoil_end, "ended as stalled:timed-out although it was healed"),
        (spoil_silence, "the fault was never noticed"),
        (spoil_early, "noticed after 0.5 s"),
        (spoil_late, "noticed after 6.0 s"),
        (spoil_return, "after the healing, not within 3 s"),
        (spoil_no_return, "no picture came after the healing"),
        (spoil_age, "was taken for good 4.0 s late"),
        (spoil_order, "sequence numbers do not rise"),
        (spoil_box, "lies outside the picture of 320x240"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_planted_failure_is_found(spoil: object, said: str) -> None:
    history = right()
    assert callable(spoil)
    spoil(history)
    assert any(said in each for each in complaints(VERDICT, history, DONE)), complaints(VERDICT, history, DONE)


def denied(share: float, begin: float, end: float) -> float:
    """What a machine denied that gave only the rest of a share of the time."""
    return share * (end - begin)


@pytest.mark.parametrize("spoil", [spoil_late, spoil_return, spoil_age], ids=lambda value: value.__name__)
def test_what_the_machine_denied_is_not_held_against_the_program(spoil: Callable[[History], None]) -> None:
    history = right()
    spoil(history)
    enough, little = (replace(DONE, denied=partial(denied, share)) for share in (0.9, 0.1))
    assert complaints(VERDICT, history, enough) == []
    assert complaints(VERDICT, history, little)


def test_a_fault_that_lasted_longer_than_planned_may_be_outlived_later() -> None:
    history = right()
    spoil_return(history)
    assert complaints(VERDICT, history, replace(DONE, planned=7.0)) == []
    assert complaints(VERDICT, history, replace(DONE, planned=10.0))


@pytest.mark.parametrize(
    ("outage", "wait"), [(0.0, 0.3), (0.2, 0.6), (5.0, 4.8), (8.0, 9.6), (13.0, 12.0), (99.0, 12.0)]
)
def test_the_pause_between_tries_grows_with_the_outage(outage: float, wait: float) -> None:
    assert longest_wait(outage) == pytest.approx(wait)


def test_a_size_that_never_came_is_found() -> None:
    assert complaints(replace(VERDICT, sizes=frozenset({(320, 240), (240, 320)})), right(), DONE)


def steady(fps: float = 8.0, seconds: float = 20.0) -> History:
    changes = [Change(1000.0, "connecting", ""), Change(1001.0, "live", "")]
    return History(changes, [Shown(1001.0 + n / fps, n, n, (320, 240)) for n in range(int(seconds * fps))])


def test_a_healthy_camera_that_suffers_is_found() -> None:
    assert unharmed(steady(), 8.0, 1001.0, 1021.0) == []
    slow, gap, stalled = steady(6.0, 20.0), steady(), steady()
    del gap.shown[40:60]
    stalled.changes.append(Change(1010.0, "stalled", "timed out"))
    assert "gave 6.0 frames a second" in unharmed(slow, 8.0, 1001.0, 1021.0)[0]
    assert "showed nothing for 2.6 s" in unharmed(gap, 8.0, 1001.0, 1021.0)[0]
    assert "states are" in unharmed(stalled, 8.0, 1001.0, 1021.0)[0]
    assert "showed nothing for 5.1 s" in unharmed(steady(8.0, 15.0), 8.0, 1001.0, 1021.0)[0]
    assert unharmed(History(), 8.0, 1001.0, 1021.0) == ["the healthy camera showed nothing"]


def test_pictures_that_a_healthy_camera_gave_in_vain_are_found() -> None:
    assert unharmed(steady(), 8.0, 1001.0, 1021.0, pictures=120) == []
    losing = steady()
    for at, each in enumerate(losing.shown[50:], 50):
        losing.shown[at] = replace(each, number=each.number + 2)
    losing.shown = [replace(each, number=each.number % 120) for each in losing.shown]
    assert unharmed(losing, 8.0, 1001.0, 1021.0, pictures=120) == [
        "2 pictures of the healthy camera were never captured"
    ]


def test_a_healthy_camera_may_wait_for_a_machine_that_is_busy() -> None:
    slow, gap = steady(6.0, 20.0), steady()
    del gap.shown[40:60]
    for share, harmless in ((0.5, True), (0.05, False)):
        for history in (slow, gap):
            told = unharmed(history, 8.0, 1001.0, 1021.0, denied=partial(denied, share))
            assert (told == []) is harmless


SECRET = "c@n:a/r#y%20"


@pytest.mark.parametrize(
    "text",
    [
        f"rtsp://cam:{SECRET}@host",
        f"rtsp://cam:{quote(SECRET, safe='')}@host",
        quote(quote(SECRET, safe=""), safe=""),
        "Authorization: Basic " + base64.b64encode(f"cam:{SECRET}".encode()).decode(),
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_password_is_found_in_every_spelling(text: str) -> None:
    assert leaks(SECRET, "cam", {"stderr": text, "events": "clean"}) == ["stderr holds the password"]


def test_frames_that_are_not_accounted_for_are_found() -> None:
    counts = {"captured": 10, "inferred": 3, "carried": 2, "passed": 1, "dropped": {"stale": 3}, "in_flight": 1}
    assert uneven(counts) == []
    assert uneven({**counts, "in_flight": 0}) == ["captured 10, accounted for 9"]


def test_growth_is_told_from_noise() -> None:
    noisy = [(float(n), 250e6 + (n * 7919 % 13) * 1e5) for n in range(100)]
    assert abs(slope(noisy)) < 5e3
    assert slope([(n, bytes_held + n * 50e3) for n, bytes_held in noisy]) == pytest.approx(50e3, abs=5e3)


def test_a_line_that_a_kill_left_unfinished_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    state = {"camera": "door", "state": "offline", "reason": "timed out", "at": "2026-05-04T12:30:15.250Z"}
    path.write_text(json.dumps(state) + "\n" + json.dumps(state)[:20])
    told = Told(path)
    assert told.histories()["door"].words == "offline:timed-out "
    with path.open("a") as file:
        file.write(json.dumps(state)[20:] + "\n")
    assert told.histories()["door"].words == "offline:timed-out offline:timed-out "
    assert told.histories()["door"].words == "offline:timed-out offline:timed-out "
