"""The status line and the tables at the end, to the letter, and the file of numbers."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.status_line import Status, Terminal, lines
from pipeline.cli.summary import SummaryFile, show
from pipeline.errors import OutputError
from pipeline.stats.camera import CameraFigures, State

TIMES = {"count": 90, "mean": 21.0, "p50": 20.04, "p95": 31.06, "p99": 40.0, "max": 1234.5}
NEVER = dict.fromkeys(TIMES, 0.0)
SUMMARY: dict[str, Any] = {
    "seconds": 12.34,
    "cameras": {
        "door": {
            "captured": 120,
            "inferred": 90,
            "carried": 0,
            "shown": 90,
            "dropped": {"stale": 28, "stopped": 1, "corrupt": 0},
            "fps": 29.96,
            "people": 3,
            "latency_ms": TIMES,
        },
        "yard": {
            "captured": 0,
            "inferred": 0,
            "carried": 0,
            "shown": 0,
            "dropped": {},
            "fps": 0.0,
            "people": 0,
            "latency_ms": NEVER,
        },
    },
    "stages": {"decode": TIMES, "render": NEVER},
    "model": {"name": "person-detection-0202", "precision": "i8"},
    "device": {"devices": ["GPU.0", "CPU"], "requests": 4, "streams": 2},
    "peak_memory_mb": 271.4,
}

TABLES = """\
camera  captured  inferred  shown    dropped   fps  people
door         120        90     90   28 stale  30.0       3
                                   1 stopped
yard           0         0      0          0   0.0       0

milliseconds             frames   p50   p95   p99     max
decode                       90  20.0  31.1  40.0  1234.5
capture to output, door      90  20.0  31.1  40.0  1234.5

model person-detection-0202 i8, device GPU.0, CPU, requests 4, streams 2, 12.3 s, 271 MB of memory at most
"""


def figures(**changes: Any) -> CameraFigures:
    """A camera that does well, but for the changes."""
    usual: dict[str, Any] = {
        "name": "door",
        "state": State.LIVE,
        "reason": "",
        "since": datetime(2025, 1, 1, tzinfo=UTC),
        "retry_in": None,
        "source": "h264 1280x720 over tcp",
        "captured": 100,
        "inferred": 99,
        "dropped": {},
        "shown": 99,
        "in_flight": 1,
        "reconnects": 0,
        "fps_in": 29.97,
        "fps": 29.5,
        "people": 2,
        "age": 0.0449,
    }
    return CameraFigures(**(usual | changes))


STATUS = [
    ({}, "door  live  30.0 fps in, 29.5 shown  2 people  45 ms old"),
    ({"people": 1, "age": None}, "door  live  30.0 fps in, 29.5 shown  1 person"),
    ({"age": 61.2}, "door  live  30.0 fps in, 29.5 shown  2 people  61 s old"),
    (
        {"dropped": {"stale": 7, "stopped": 0, "corrupt": 1}},
        "door  live  30.0 fps in, 29.5 shown  2 people  45 ms old  dropped 7 stale, 1 corrupt",
    ),
    (
        {"state": State.RETRYING, "reason": "refused", "retry_in": 3.6, "captured": 0, "age": None},
        "door  retrying (refused), next try in 4 s",
    ),
    ({"state": State.CONNECTING, "captured": 0, "age": None}, "door  connecting"),
    ({"detected": False, "people": None, "shown": 0}, "door  live  30.0 fps in  detection off  45 ms old"),
    ({"people": None}, "door  live  30.0 fps in, 29.5 shown  waiting for the detector  45 ms old"),
    ({"people": None, "inferred": 0, "shown": 0}, "door  live  30.0 fps in  waiting for the detector  45 ms old"),
    ({"people": None, "state": State.OFFLINE, "fps_in": 0.0}, "door  offline  0.0 fps in, 29.5 shown  45 ms old"),
    ({"detected": False, "people": None}, "door  live  30.0 fps in, 29.5 shown  detection off  45 ms old"),
    (
        {"carried": 20, "fps_detected": 8.04},
        "door  live  30.0 fps in, 29.5 shown, 8.0 detected  2 people  45 ms old",
    ),
]


@pytest.mark.parametrize(("changes", "line"), STATUS)
def test_the_status_says_how_a_camera_does(changes: dict[str, Any], line: str) -> None:
    assert [each.plain for each in lines([figures(**changes)])] == [line]


def test_the_names_of_all_cameras_stand_in_a_column() -> None:
    quiet = {"captured": 0, "age": None, "state": State.ENDED}
    shown = [each.plain for each in lines([figures(**quiet), figures(name="back yard", **quiet)])]
    assert shown == ["door       ended", "back yard  ended"]


def test_every_state_can_be_shown() -> None:
    for state in State:
        assert state.value in lines([figures(state=state)])[0].plain


def test_a_log_gets_the_status_every_fifth_second_and_every_notice() -> None:
    text = StringIO()
    with Status(Terminal(file=text, width=40)) as status:
        status.notice("watch on http://127.0.0.1:8080/[a] " + "x" * 60)
        for _ in range(6):
            status.tick([figures(captured=0, age=None)])
    watch = "watch on http://127.0.0.1:8080/[a] " + "x" * 60
    assert text.getvalue().splitlines() == [watch, "door  live", "door  live"]


def test_a_terminal_shows_the_newest_status_in_place() -> None:
    text = StringIO()
    with Status(Terminal(file=text, width=120, force_terminal=True, legacy_windows=False)) as status:
        status.tick([figures(people=4), figures(name="yard")])
        status.tick([figures(people=5), figures(name="yard")])
        status.notice("a notice")
    shown = text.getvalue()
    assert "4 people" in shown
    assert "5 people" in shown
    assert "\x1b[1A" in shown
    assert shown.index("a notice") > shown.index("5 people")
    assert shown.count("\x1b[?25h") == 1


def test_nothing_is_shown_after_the_end() -> None:
    text = StringIO()
    status = Status(Terminal(file=text))
    status.close()
    status.tick([figures()])
    assert text.getvalue() == ""


def test_a_terminal_whose_reader_went_away_falls_silent() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as file:
        status = Status(Terminal(file=file))
        status.notice("nobody reads this")
        status.notice("nor this")


def test_a_camera_that_is_only_watched_has_no_count_of_people() -> None:
    text = StringIO()
    yard = SUMMARY["cameras"]["yard"] | {"people": None, "detected": False}
    show(SUMMARY | {"cameras": {"yard": yard}}, Terminal(file=text, width=120))
    assert text.getvalue().splitlines()[1].split()[-2:] == ["detection", "off"]


def test_the_tables_say_what_happened() -> None:
    text = StringIO()
    show(SUMMARY, Terminal(file=text, width=80))
    assert [line.rstrip() for line in text.getvalue().splitlines()] == TABLES.splitlines()


def test_a_run_that_ended_before_its_model_was_there_says_so() -> None:
    text = StringIO()
    show(SUMMARY | {"stages": {}, "model": None, "device": None, "cameras": {}}, Terminal(file=text, width=80))
    assert text.getvalue().splitlines()[-1] == "no model, no device, 12.3 s, 271 MB of memory at most"


def test_the_file_holds_the_numbers_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    file.write_text("old")
    summary = SummaryFile(str(file))
    assert file.read_text() == "old"
    summary.write(SUMMARY)
    assert json.loads(file.read_text()) == SUMMARY
    assert list(tmp_path.iterdir()) == [file]


def test_a_device_is_written_to_and_not_replaced() -> None:
    SummaryFile("/dev/null").write(SUMMARY)
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/s.json", "summary {folder}/no/s.json: cannot be written: No such file or directory"),
        ("", "summary {folder}/: is a folder, not a file"),
        ("file/s.json", "summary {folder}/file/s.json: cannot be written: Not a directory"),
        ("x" * 300, "summary {folder}/" + "x" * 300 + ": cannot be written: File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_run(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        SummaryFile(f"{tmp_path}/{name}")
    assert str(caught.value) == message.replace("{folder}", str(tmp_path))
