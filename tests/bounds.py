"""The default tests with the lowest or the newest versions that the project allows: `python -m tests.bounds lowest`.

Further arguments go to pytest. PYTHON in the environment names the interpreter whose virtual environment is made.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9-]+)>=(?P<lowest>[0-9.]+),<(?P<above>[0-9.]+)")


def requirements(project: dict[str, Any]) -> list[str]:
    """What the package needs to run."""
    return list(project["project"]["dependencies"])


def lowest(needed: list[str]) -> list[str]:
    """The same, each pinned to the lowest version that is allowed."""
    found = [REQUIREMENT.fullmatch(each) for each in needed]
    return [f"{each['name']}=={each['lowest']}" for each in found if each is not None]


def main(kind: str, *arguments: str) -> int:
    """Make an environment, install, and run the tests; return pytest's exit status."""
    needed = requirements(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")))
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.environ.get("PYTHON") or sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder) / ("Scripts" if sys.platform == "win32" else "bin") / "python")
        # Everything at once, so that pip finds versions of what stands below that fit all of them.
        pinned = lowest(needed) if kind == "lowest" else ["--upgrade", *needed]
        subprocess.run([python, "-m", "pip", "install", "-q", f"{ROOT}[test]", *pinned], check=True)
        subprocess.run([python, "-m", "pip", "list"], check=True)
        return subprocess.run([python, "-m", "pytest", *arguments], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if sys.argv[1:2] in (["lowest"], ["newest"]) else __doc__)
