"""Records as a terminal, journald and machines get them."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import redaction
from pipeline.cli import log_format
from pipeline.cli.log_format import LogFormat, logging_to
from pipeline.notice import notify
from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[3]
PASSWORD = "s3cr3t-c@nary/9"

log = logging.getLogger("pipeline.capture.worker")


def speak() -> None:
    """One record of each kind."""
    notify(log, "watch on http://127.0.0.1:8080/", output="web")
    log.info("%s: %s", "door", "live", extra={"camera": "door"})
    log.warning("%s: %s", "door", "stalled", extra={"camera": "door"})
    log.error("the disk is full")
    log.debug("nobody needs this")


def written(chosen: LogFormat) -> list[str]:
    lines: list[str] = []
    with logging_to(lines.append, chosen):
        speak()
    speak()
    return lines


def test_a_person_gets_lines_for_persons_and_errors() -> None:
    assert written(LogFormat.TEXT) == ["watch on http://127.0.0.1:8080/", "the disk is full"]


def test_json_has_level_logger_and_the_fields_of_each_record() -> None:
    events = [json.loads(line) for line in written(LogFormat.JSON)]
    assert [event["level"] for event in events] == ["notice", "info", "warning", "error"]
    assert [(event.get("camera"), event.get("output")) for event in events] == [
        (None, "web"), ("door", None), ("door", None), (None, None),
    ]  # fmt: skip
    assert {event["logger"] for event in events} == {"pipeline.capture.worker"}
    assert events[0]["message"] == "watch on http://127.0.0.1:8080/"
    assert events[1]["time"].endswith("+00:00")


def test_journald_gets_a_priority_in_front_of_every_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "stderr").open("w") as file:
        there = os.fstat(file.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino}")
        monkeypatch.setattr(sys, "stderr", file)
        assert log_format.under_journald()
        assert [line[:3] for line in written(LogFormat.TEXT)] == ["<5>", "<6>", "<4>", "<3>"]
        lines: list[str] = []
        with logging_to(lines.append, LogFormat.TEXT):
            log.error("one\ntwo")
        assert lines == ["<3>one\n<3>two"]
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino + 1}")
        assert not log_format.under_journald()
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        assert not log_format.under_journald()


def test_no_format_tells_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.guard_logs()
    redaction.remember(f"rtsp://me:{PASSWORD}@camera/live")
    for chosen in LogFormat:
        lines: list[str] = []
        with logging_to(lines.append, chosen):
            try:
                raise ValueError(f"cannot open rtsp://me:{PASSWORD}@camera/live")
            except ValueError:
                log.exception("failed with %s", PASSWORD)
        assert lines
        assert PASSWORD not in "".join(lines)
        assert json.dumps(PASSWORD)[1:-1] not in "".join(lines)


def test_what_cannot_be_printed_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(line: str) -> None:
        raise OSError("nobody reads this")

    with logging_to(fail, LogFormat.TEXT):
        notify(log, "watch")
    assert capsys.readouterr() == ("", "")


def lookout(*arguments: str) -> tuple[int, list[dict[str, object]], str]:
    """Run the program; its exit code, the records on standard error, and standard output."""
    command = [sys.executable, str(ROOT / "run.py"), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False, cwd=ROOT)
    return ended.returncode, [json.loads(line) for line in ended.stderr.splitlines()], ended.stdout


def test_a_whole_run_writes_nothing_but_json() -> None:
    options = ("--set", "detect.enabled=false", "--set", "capture.pace=fast", "--frames", "3", "--web", "0")
    code, records, printed = lookout("-i", "demo", *options, "--log-format", "json")
    assert (code, printed) == (0, "")
    messages = [str(record["message"]) for record in records]
    assert any(message.startswith("watch on http://") for message in messages)
    (summary,) = [record["summary"] for record in records if "summary" in record]
    assert isinstance(summary, dict)
    assert summary["cameras"]["demo"]["captured"] >= 3
    live = next(record for record in records if record["message"] == "demo: live, drawn 1280x720 at 30 fps")
    assert (live["camera"], live["level"], live["logger"]) == ("demo", "info", "pipeline.capture.worker")


def test_an_error_that_ends_the_program_is_a_record_with_its_exit_code() -> None:
    code, records, printed = lookout("-i", "nosuch.mp4", "--log-format", "json")
    assert (code, printed) == (3, "")
    last = records[-1]
    assert (last["level"], last["message"], last["exit_code"]) == ("error", "nosuch.mp4: no such file", 3)
