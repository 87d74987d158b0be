"""What README and the documentation show works: Python prints what it says, YAML loads, commands are understood."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from pipeline.cli import COMMANDS
from pipeline.config.load import parse
from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_the_python_prints_what_readme_says() -> None:
    programs, outputs = blocks("python"), blocks("text")
    assert programs
    assert len(programs) == len(outputs)
    for program, expected in zip(programs, outputs, strict=True):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=HANG_S
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == expected


def test_every_yaml_block_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMERA_PASSWORD", "secret-password")
    monkeypatch.setenv("LOOKOUT_TOKEN", "0123456789abcdef0123456789abcdef")
    assert blocks("yaml")
    for page in PAGES:
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            if "- toy:" not in text:
                assert parse(text, page.name).cameras


def test_the_first_screen_has_the_two_commands() -> None:
    screen = README.splitlines()[:40]
    assert "    python -m pip install . && python run.py" in screen
    assert "    python -m pip install '.[test]' && python -m pytest" in screen


def commands(text: str) -> list[list[str]]:
    """The words behind `python run.py` in every line of a text that runs it."""
    return [line.split() for line in re.findall(r"^    python run\.py (.*?)(?:  #.*)?$", text, re.MULTILINE)]


@cache
def options(command: str) -> frozenset[str]:
    """Every option that a command knows, whole words alone."""
    known = [sys.executable, str(ROOT / "run.py"), command, "--help"]
    told = subprocess.run(known, capture_output=True, text=True, timeout=HANG_S, env=os.environ | {"COLUMNS": "200"})
    return frozenset(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told.stdout))


def unknown(words: list[str]) -> list[str]:
    """The options in a command line that the program does not have."""
    command = words[0] if words[0] in COMMANDS else "run"
    given = [re.split(r"[= ]", word)[0] for word in words if re.match(r"--?[a-z]", word)]
    return [option for option in given if option not in options(command)]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_option_that_is_shown_exists(page: Path) -> None:
    assert [word for words in commands(page.read_text()) for word in unknown(words)] == []


def test_an_option_that_is_half_of_another_is_found_out() -> None:
    assert commands(README)
    assert unknown(["-i", "0", "--wind"]) == ["--wind"]
    assert unknown(["-i", "0", "--window", "-o", "x.mp4"]) == []
    assert unknown(["doctor", "demo", "--json", "--frames"]) == ["--frames"]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_file_that_is_linked_to_is_there(page: Path) -> None:
    made = {"configuration.md", "http-api.md"}
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert target in made or (page.parent / target).exists(), target
