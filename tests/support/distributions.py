"""Distributions made by the tests, as an installer would leave them: a module, and the entry points that name it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.support.wait import HANG_S

ROOT = Path(__file__).parents[2]


def python_block(page: str) -> str:
    """Return the only Python program on a page of the documentation."""
    (program,) = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    return str(program)


def entry_points_of(page: str) -> str:
    """Return the only entry point table on a page of the documentation, as an installer writes it."""
    (table,) = re.findall(r"^```toml\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    found = re.fullmatch(r'\[project\.entry-points\."([\w.]+)"\]\n(\w+) = "([\w:]+)"\n', table)
    assert found is not None
    return "[{}]\n{} = {}\n".format(*found.groups())


def install(folder: Path, entry_points: str, program: str) -> Path:
    """Lay out the distribution `toy` 1.0 with a module of that name in a folder; return the folder."""
    facts = folder / "toy-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(entry_points)
    (folder / "toy.py").write_text(program)
    return folder


def lookout(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Lookout to its end with the distributions of a folder on its path."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        env=os.environ | {"PYTHONPATH": path},
    )
