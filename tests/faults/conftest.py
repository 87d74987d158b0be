"""Starts the programs that the chosen tests look at, three at a time, because most of them wait."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import playing, start, webcam
from tests.faults.program import ROOT, Sample
from tests.faults.watch import Report, watch

Reports = Callable[[str], Report]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "watches(name): needs the report of that program")


def _island(folder: Path) -> Report:
    command = ["unshare", "-Urn", sys.executable, "-m", "tests.faults.island", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    told = json.loads((folder / "report.json").read_text())
    return Report(**{**told, "before": Sample(**told["before"]), "after": Sample(**told["after"])})


PROGRAMS: dict[str, Callable[[Path], Report]] = {
    "playing-1": lambda folder: watch(folder, playing.CASES[::2]),
    "playing-2": lambda folder: watch(folder, playing.CASES[1::2]),
    "start": lambda folder: watch(folder, start.CASES, spoilt_first=True),
    "island": _island,
    "unplugged": webcam.unplugged,
    "mute": webcam.mute,
}


def can_be_alone() -> bool:
    """Whether this system lets us have a network of our own."""
    command = ["unshare", "-Urn", "true"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="session")
def reports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reports]:
    """Gives the report of a program by its name; all that any chosen test needs run at the same time."""
    wanted = dict.fromkeys(mark.args[0] for item in request.session.items for mark in item.iter_markers("watches"))
    possible = [name for name in wanted if name != "island" or can_be_alone()]
    possible = [name for name in possible if name not in ("unplugged", "mute") or webcam.possible()]
    with ThreadPoolExecutor(3) as pool:
        running: dict[str, Future[Report]] = {
            name: pool.submit(PROGRAMS[name], tmp_path_factory.mktemp(name)) for name in possible
        }

        def report(name: str) -> Report:
            if name not in running:
                pytest.skip("unshare gives no network of our own here" if name == "island" else "no gcc, or no Linux")
            return running[name].result()

        yield report
