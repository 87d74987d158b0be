"""No module grows past what one sitting can read."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FREE_LINES, MOST_LINES = 400, 600
REASONS: dict[str, str] = {}
"""Why a module may have more lines than are free, by its path."""
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_long_module_has_a_reason_and_none_is_longer(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    lines = len(path.read_text().splitlines())
    assert lines <= (MOST_LINES if REASONS.get(name) else FREE_LINES)


def test_no_reason_is_given_for_nothing() -> None:
    assert {name for name in REASONS if len((ROOT / name).read_text().splitlines()) > FREE_LINES} == set(REASONS)


def test_the_modules_are_found() -> None:
    assert {"runtime.py", "network.py"} <= {path.name for path in MODULES}
