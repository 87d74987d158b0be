"""The command line in poor surroundings: a user without a home, streams that are closed, full or cannot encode."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[3]

HOMELESS = """
import os, pwd, sys
os.environ.pop("HOME", None)
def unknown(uid):
    raise KeyError(uid)
pwd.getpwuid = unknown
sys.argv = ["run.py", *sys.argv[1:]]
from pipeline.cli import main
code = main()
print("openvino" in sys.modules, file=sys.stderr)
raise SystemExit(code)
"""
"""The program as a user whom the machine does not know, as one that only a container's start names."""


def homeless(*arguments: str, cwd: Path) -> tuple[int, list[str]]:
    """The exit code and what was printed; the last line tells whether OpenVINO was imported."""
    done = subprocess.run(
        [sys.executable, "-c", HOMELESS, *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DISPLAY": ""},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    return done.returncode, done.stderr.splitlines()


def test_a_user_without_a_home_can_watch_without_openvino(tmp_path: Path) -> None:
    code, said = homeless("--set", "detect=false", "--frames", "2", "--events", "e.jsonl", cwd=tmp_path)
    assert (code, said[-1]) == (0, "False")
    assert [each.name for each in tmp_path.iterdir()] == ["e.jsonl"]


def test_a_user_without_a_home_can_detect(tmp_path: Path, quick_model: Path) -> None:
    code, said = homeless("-m", str(quick_model), "--frames", "2", "--events", "e.jsonl", cwd=tmp_path)
    assert (code, said[-1]) == (0, "True")
    assert [each.name for each in tmp_path.iterdir()] == ["e.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-o", "~/x.mp4"], "--output ~/x.mp4: outputs.video.path: "),
        (["--set", "infer.cache=~/x"], "--set infer.cache=~/x: infer.cache: "),
        (["-m", "~/x.xml"], "--model ~/x.xml: model.name: "),
    ],
)
def test_a_path_below_a_home_that_is_not_there_is_told(arguments: list[str], line: str, tmp_path: Path) -> None:
    code, said = homeless(*arguments, cwd=tmp_path)
    rule = "must not begin with ~/: this user has no home; write the whole path"
    assert (code, said[:-1]) == (2, [f"{line}{rule}"])


def test_a_model_that_a_user_without_a_home_cannot_keep_is_told(tmp_path: Path) -> None:
    code, said = homeless("models", "fetch", "person-detection-0202", cwd=tmp_path)
    reason = "not fetched because this user has no home to keep it in; set XDG_CACHE_HOME"
    assert (code, said[:-1]) == (4, [f"model person-detection-0202 FP16-INT8: {reason}"])


def shell(command: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a line for the shell, where LOOKOUT is the program."""
    done = subprocess.run(
        ["sh", "-c", command.replace("LOOKOUT", f"{sys.executable} {ROOT / 'run.py'}")],
        cwd=cwd,
        env=os.environ | {"DISPLAY": ""} | environment,
        capture_output=True,
        timeout=HANG_S,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


GOOD, BAD = "cameras: {a: demo}\n", "cameras: {a: demo}\ncapture: {transport: 'Tür'}\n"
REFUSED = "b.yaml:2:22: capture.transport: must be tcp or udp, got 'T\\xfcr'\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a good and a bad configuration."""
    (tmp_path / "Tür 東京.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(BAD, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [
        ("check 'Tür 東京.yaml'", ">&-", 0),
        ("check b.yaml", "2>&-", 2),
        ("--help", "<&- >&- 2>&-", 0),
        ("chekc", "<&- >&- 2>&-", 2),
        ("schema", "<&- >&- 2>&-", 0),
        ("doctor nothing.mp4", "<&- >&- 2>&-", 3),
        ("run -i demo --set detect=false --frames 1 --events e.jsonl", "<&- >&- 2>&-", 0),
    ],
)
def test_closed_streams_change_no_exit_code(command: str, closed: str, code: int, files: Path) -> None:
    assert shell(f"LOOKOUT {command} {closed}", files)[0] == code
    left = {each.name: each.read_text() for each in files.iterdir()}
    assert left.pop("e.jsonl", "{").startswith("{")
    assert left == {"Tür 東京.yaml": GOOD, "b.yaml": BAD}


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_streams_that_cannot_encode_a_name_show_it_in_another_way(encoding: str, files: Path) -> None:
    code, out, err = shell("LOOKOUT check 'Tür 東京.yaml'", files, PYTHONIOENCODING=encoding)
    assert (code, err) == (0, "")
    assert "r \\u6771\\u4eac.yaml: good: 1 camera" in out
    code, out, err = shell("LOOKOUT check b.yaml", files, PYTHONIOENCODING=encoding)
    assert (code, out, err.replace("\N{REPLACEMENT CHARACTER}", "\\xfc")) == (2, "", REFUSED)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_behind_a_stream_is_told_or_nothing_is(files: Path) -> None:
    full = "cannot write standard output: the disk is full; free some space or choose another place\n"
    for command in ("version", "schema", "--help", "check 'Tür 東京.yaml'"):
        assert shell(f"LOOKOUT {command} > /dev/full", files) == (5, "", full), command
    assert shell("LOOKOUT check b.yaml 2> /dev/full", files) == (2, "", "")
    assert shell("LOOKOUT --help | head -c 1 > x; cat x", files)[2] == ""
