"""No module grows past what one sitting can read."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 300
MODULES = sorted(path for folder in ("pipeline", "training") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_has_more_than_300_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_the_modules_are_found() -> None:
    assert {"runtime.py", "network.py"} <= {path.name for path in MODULES}
