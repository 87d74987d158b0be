"""Files that are cut off, empty or no videos: an end with the right code and one line, never a wait."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.oracle import STOPPED, uneven
from tests.faults.program import Program
from tests.support.clips import street, write_file

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

PICTURES = 40


def whole(path: Path) -> None:
    write_file(path, street(PICTURES, 320, 240), 20, g="10")


def cut(share: float) -> Callable[[Path], None]:
    """A file of which only the first part was copied."""

    def make(path: Path) -> None:
        write_file(path, street(PICTURES, 320, 240), 20, g="10")
        os.truncate(path, int(path.stat().st_size * share))

    return make


def spoilt(path: Path) -> None:
    """Every 3,000th byte of the pictures is another."""
    whole(path)
    content = bytearray(path.read_bytes())
    for at in range(5000, len(content) - 5000, 3000):
        content[at] ^= 0xFF
    path.write_bytes(content)


CASES: dict[str, tuple[str, Callable[[Path], object], int, int]] = {
    "whole": ("a.ts", whole, 0, PICTURES),
    "cut-in-the-middle": ("a.ts", cut(0.5), 0, 10),
    "cut-at-the-end": ("a.ts", cut(0.97), 0, 30),
    "cut-at-the-start": ("a.ts", cut(0.001), 3, 0),
    "without-its-index": ("a.mp4", cut(0.8), 3, 0),
    "with-wrong-bytes": ("a.ts", spoilt, 0, 5),
    "empty": ("a.mp4", Path.touch, 3, 0),
    "text": ("a.mp4", lambda path: path.write_text("<html>not a video</html>" * 50), 3, 0),
    "noise": ("a.mp4", lambda path: path.write_bytes(os.urandom(50_000)), 3, 0),
    "folder": ("a.mp4", Path.mkdir, 3, 0),
    "missing": ("a.mp4", lambda path: None, 3, 0),
}
"""Name, how it is made, the exit code, and the least pictures that are used."""


@pytest.fixture(scope="module")
def ended(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], tuple[Program, int]]]:
    folder = tmp_path_factory.mktemp("files")

    def run(case: str) -> tuple[Program, int]:
        name, make, _, _ = CASES[case]
        (folder / case).mkdir()
        make(folder / case / name)
        program = Program(folder / case / "run", {"file": str(folder / case / name)})
        return program, program.wait()

    chosen = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    with ThreadPoolExecutor(3) as pool:
        running: dict[str, Future[tuple[Program, int]]] = {
            case: pool.submit(run, case) for case in CASES if case in chosen
        }
        yield lambda case: running[case].result()


@pytest.mark.parametrize("case", CASES)
def test_a_file_ends_with_its_code(ended: Callable[[str], tuple[Program, int]], case: str) -> None:
    program, code = ended(case)
    _, _, wanted, least = CASES[case]
    assert code == wanted, program.errors
    assert "Traceback" not in program.errors
    counts = program.summary()["cameras"]["file"]
    assert uneven(counts) == []
    assert counts["inferred"] >= least
    if wanted:
        assert (
            "/file" in program.errors.strip().splitlines()[-1] or "a.mp4" in program.errors or "a.ts" in program.errors
        )


def test_a_pipe_that_nobody_writes_to_can_be_stopped(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.ts")
    program = Program(tmp_path / "run", {"file": str(tmp_path / "pipe.ts")})
    try:
        program.wait_for("file", state="connecting")
        code, seconds = program.end()
    finally:
        program.kill()
    assert code == 130, program.errors
    assert seconds < STOPPED
