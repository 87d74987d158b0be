"""The checkers that every change must pass, run as tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command", [["check", "--no-cache"], ["format", "--check", "--no-cache"]], ids=["lint", "form"]
)
def test_ruff_finds_nothing(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "ruff", *command, "."], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_mypy_is_content_with_the_package_its_tests_and_its_benchmarks() -> None:
    # The trainer's packages are not on every machine; its own tests check it.
    others = ["--exclude", "^(pipeline|tests)/training/"]
    command = [sys.executable, "-m", "mypy", *others, "pipeline", "tests", "benchmarks", "run.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout
