"""The trainer's types, checked where its packages are installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="training needs PyTorch: pip install '.[train]'")


def test_mypy_is_content_with_the_trainer() -> None:
    command = [sys.executable, "-m", "mypy", "pipeline/training", "tests/training"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stdout
