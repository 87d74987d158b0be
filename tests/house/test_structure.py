"""How the package is cut: one name for one thing, tests where their modules are, no folder too full, no crumbs."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline"
UNIT = ROOT / "tests" / "unit"
MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")

SAME_WORD = {
    "cameras": "their settings, and how a run opens them",
    "app": "the command line's and the page's",
    "detector": "the protocol, and what implements it for a backend",
    "output": "one in the folder of each output",
    "outputs": "their settings, and how a run opens them",
    "pictures": "decoded ones, and those to learn from",
    "settings": "one in the folder of each output",
    "source": "the protocol, and what implements it",
}
"""Words that several modules are called by, and why."""
FILES_OF_ONE_MODULE = {"test_ffmpeg_files": "ffmpeg", "test_ffmpeg_streams": "ffmpeg"}
"""Unit tests that share a module, by its name."""
MAX_MODULE_COUNT = 14
SMALL_LINES = 80
MAX_CRUMB_SHARE = 0.1


def classes(source: str) -> Iterator[str]:
    """The names of the classes at the top of a module."""
    yield from (node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef))


def imported(source: str, path: Path) -> set[str]:
    """Full names of the modules that a module may be importing from."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            above = ["pipeline", *path.with_suffix("").parts][: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found


def crumbs(sources: dict[Path, str]) -> list[Path]:
    """Modules that are small and serve one other alone."""
    users: dict[str, int] = defaultdict(int)
    for path, source in sources.items():
        for name in imported(source, path):
            users[name] += 1
    return [
        path
        for path, source in sources.items()
        if len(source.splitlines()) < SMALL_LINES and users[".".join(["pipeline", *path.with_suffix("").parts])] == 1
    ]


def shared(places: dict[str, list[Path]]) -> dict[str, list[str]]:
    """Names that stand for more than one thing."""
    return {name: [str(path) for path in paths] for name, paths in places.items() if len(paths) > 1}


def test_no_two_classes_share_a_name() -> None:
    places: dict[str, list[Path]] = defaultdict(list)
    for path in MODULES:
        for name in classes((PACKAGE / path).read_text()):
            if not name.startswith("_"):
                places[name].append(path)
    assert shared(places) == {}


def test_no_two_modules_share_a_name_without_a_reason() -> None:
    places: dict[str, list[Path]] = defaultdict(list)
    for path in MODULES:
        places[path.stem].append(path)
    assert set(shared(places)) == set(SAME_WORD)


def test_every_unit_test_stands_where_its_module_does() -> None:
    lost = []
    for path in UNIT.rglob("test_*.py"):
        stem = FILES_OF_ONE_MODULE.get(path.stem, path.stem.removeprefix("test_"))
        if path.relative_to(UNIT).with_name(f"{stem}.py") not in MODULES:
            lost.append(str(path.relative_to(UNIT)))
    assert lost == []


def test_no_folder_is_too_full_to_be_looked_over() -> None:
    counts: dict[Path, int] = defaultdict(int)
    for path in MODULES:
        counts[path.parent] += 1
    assert {str(folder): count for folder, count in counts.items() if count > MAX_MODULE_COUNT} == {}


def test_few_modules_are_crumbs_of_another() -> None:
    found = crumbs({path: (PACKAGE / path).read_text() for path in MODULES})
    assert len(found) <= MAX_CRUMB_SHARE * len(MODULES), sorted(map(str, found))


def test_planted_breaches_are_found() -> None:
    assert list(classes("class A: ...\nclass B(A): ...")) == ["A", "B"]
    assert shared({"A": [Path("a.py"), Path("b.py")], "B": [Path("a.py")]}) == {"A": ["a.py", "b.py"]}
    one, other = Path("web/tls.py"), Path("web/output.py")
    assert crumbs({one: "x = 1", other: "from .tls import context"}) == [one]
    assert crumbs({one: "x = 1", other: "from .tls import x", Path("web/app.py"): "from pipeline.web import tls"}) == []
