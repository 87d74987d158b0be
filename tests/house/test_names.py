"""What modules may be called and what they may not reach for, read from the source text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
EVERY = sorted({*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), ROOT / "run.py"})

EMPTY_WORDS = {"base", "common", "core", "handler", "helper", "helpers", "manager", "misc", "util", "utils"}
JUMPING = {"time.time", "time.sleep", "datetime.now", "datetime.utcnow", "datetime.today"}
STOPWATCH = {"time.monotonic", "time.perf_counter", "time.process_time"}
TIMES_FOREIGN_CALLS = {
    "pipeline/capture/sources/ffmpeg.py",
    "pipeline/capture/sources/ffmpeg_connection.py",
    "pipeline/capture/sources/deadline.py",
    "pipeline/capture/sources/webcam.py",
    "pipeline/infer/backends/openvino/detector.py",
    "pipeline/concurrency/threads.py",
    "pipeline/training/evaluation/measurement.py",
    "pipeline/training/learn/trainer.py",
}
"""Modules whose own clock cannot be driven by a test, because what they wait for is not ours."""
PRINTS = {"pipeline/cli/app.py"}
UNFINISHED = re.compile(r"\x23.*\b(TODO|FIXME|XXX|HACK)\b")


def called(source: str) -> Iterator[str]:
    """The last two names of every call, such as time.sleep, and its only one, such as print."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            yield f"{name}.{node.func.attr}"


def breaches(source: str, path: str) -> list[str]:
    """What a module of the program calls that it may not."""
    forbidden: set[str] = set()
    if path.startswith("pipeline/") and path != "pipeline/clock.py":
        forbidden |= JUMPING
        forbidden |= set() if path in TIMES_FOREIGN_CALLS else STOPWATCH
    if path not in PRINTS:
        forbidden |= {"print"}
    forbidden |= {"breakpoint", "eval", "exec", "os.system"}
    return sorted(forbidden & set(called(source)))


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in MODULES])
def test_no_module_calls_what_it_may_not(path: str) -> None:
    assert breaches((ROOT / path).read_text(), path) == []


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in MODULES])
def test_no_module_is_called_by_an_empty_word(path: str) -> None:
    assert not set(Path(path).with_suffix("").parts) & EMPTY_WORDS


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in EVERY])
def test_no_file_is_left_unfinished(path: str) -> None:
    assert UNFINISHED.search((ROOT / path).read_text()) is None


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("import time\ntime.sleep(1)", "pipeline/runtime/runtime.py"),
        ("import time\ntime.time()", "pipeline/capture/sources/ffmpeg.py"),
        ("import time\ntime.monotonic()", "pipeline/runtime/runtime.py"),
        ("from datetime import datetime\ndatetime.now()", "pipeline/stats/registry.py"),
        ("import datetime\ndatetime.datetime.now()", "pipeline/stats/registry.py"),
        ("print('x')", "pipeline/runtime/runtime.py"),
        ("breakpoint()", "pipeline/cli/app.py"),
    ],
)
def test_a_planted_breach_is_found(source: str, path: str) -> None:
    assert len(breaches(source, path)) == 1


def test_an_unfinished_line_is_found() -> None:
    assert UNFINISHED.search("x = 1  \x23 TODO later")


def test_every_exception_to_the_rules_still_exists() -> None:
    assert {path for path in TIMES_FOREIGN_CALLS | PRINTS if not (ROOT / path).is_file()} == set()
