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
