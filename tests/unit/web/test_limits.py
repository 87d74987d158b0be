"""Every limit of the page's server stands in one module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

WEB = Path(__file__).parents[3] / "pipeline" / "web"
LIMIT = re.compile(r"_?(MAX|MIN|LIMIT)_|.*_TIMEOUT_M?S$")
UNITS = ("_S", "_MS", "_MINUTES", "_BYTES", "_BYTES_PER_S", "_COUNT")


def constants(source: str) -> Iterator[str]:
    """The names that a module gives to numbers."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and all(
            isinstance(each, ast.Constant | ast.BinOp | ast.operator | ast.Load) for each in ast.walk(node.value)
        ):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


@pytest.mark.parametrize("path", sorted(WEB.rglob("*.py")), ids=lambda path: path.relative_to(WEB).as_posix())
def test_limits_stand_in_their_module_only(path: Path) -> None:
    strays = [name for name in constants(path.read_text()) if LIMIT.fullmatch(name) or LIMIT.match(name)]
    assert path.name == "limits.py" or strays == []


def test_every_limit_has_a_unit_and_is_used() -> None:
    names = list(constants((WEB / "limits.py").read_text()))
    assert len(names) > 30
    assert [name for name in names if not name.endswith(UNITS)] == []
    used = "".join(path.read_text() for path in WEB.rglob("*.py") if path.name != "limits.py")
    assert [name for name in names if f"limits.{name}" not in used] == []


def test_a_planted_limit_is_found() -> None:
    assert [name for name in constants("_MAX_LINE_BYTES = 4 * 1024\n_NAME = 'x'.strip()") if LIMIT.match(name)]
