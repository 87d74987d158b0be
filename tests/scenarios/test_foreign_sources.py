"""A source of another distribution works by its scheme, with the program that the documentation shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.distributions import entry_points_of, install, lookout, python_block

PAGE = "docs/howto/add-a-source.md"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return install(tmp_path / "site", entry_points_of(PAGE), python_block(PAGE))


def run(folder: Path, address: str) -> tuple[int, list[dict[str, object]], str]:
    done = lookout(folder, "-i", address, "--frames", "5", "--no-web", "--events", "-", "--model", "lookout-person")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, [each for each in events if "detections" in each], done.stderr


@pytest.mark.parametrize("front", ["", "fault:late@900:"])
def test_the_documented_source_gives_its_frames(toy: Path, front: str) -> None:
    code, frames, errors = run(toy, f"{front}toy://x")
    assert (code, len(frames)) == (0, 5), errors


def test_the_doctor_measures_it(toy: Path) -> None:
    done = lookout(toy, "doctor", "toy://x", "--seconds", "1", "--json")
    measured = json.loads(done.stdout)["measured"]
    assert (measured["kind"], measured["width"], measured["height"]) == ("plugin", 64, 48), done.stderr


def test_a_scheme_that_nobody_knows_still_names_a_file(toy: Path) -> None:
    code, _, errors = run(toy, "nosuch://x")
    assert code == 3
    assert errors.strip().splitlines()[-1].endswith("nosuch://x: no such file")
    measured = json.loads(lookout(toy, "doctor", "nosuch://x", "--json").stdout)["measured"]
    assert (measured["kind"], measured["error"]) == ("file", "nosuch://x: no such file")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import nowhere_at_all\n", "cannot be loaded: ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("class ToySource:\n    gives_packets = False\n", "cannot be used: it has no check"),
    ],
)
def test_a_broken_one_is_named_in_one_line(tmp_path: Path, program: str, message: str) -> None:
    folder = install(tmp_path / "site", entry_points_of(PAGE), program)
    code, _, errors = run(folder, "toy://user:secret-word@x")
    assert code == 3
    assert errors.strip().splitlines()[-1].endswith(f"toy://***@x: the plug-in toy:ToySource of toy {message}")
    assert "Traceback" not in errors
