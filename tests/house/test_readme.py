"""What README shows works: its Python prints what it says, its YAML loads, its commands are understood."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.load import parse
from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


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
    for text in blocks("yaml"):
        assert parse(text, "README.md").cameras


def test_the_first_screen_has_the_two_commands() -> None:
    screen = README.splitlines()[:40]
    assert "    python -m pip install . && python run.py" in screen
    assert "    python -m pip install '.[test]' && python -m pytest" in screen


def test_every_option_in_readme_exists() -> None:
    told = subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "run", "--help"], capture_output=True, text=True, timeout=HANG_S
    ).stdout
    for line in re.findall(r"^    python run\.py (.*?)(?:  #.*)?$", README, re.MULTILINE):
        for option in re.findall(r"(?<!\S)--?[a-z-]+", line):
            assert option in told, option


def test_every_file_that_readme_links_to_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
