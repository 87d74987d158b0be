"""Who may import whom, in our house and beyond it, read from the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline"

ROWS = (
    {"errors", "notice", "version", "clock", "frames", "address", "plugins"},
    {"redaction", "concurrency", "files"},
    {"media", "stats", "config"},
    {"capture", "infer", "analyze", "draw"},
    {"outputs", "doctor"},
    {"web"},
    {"runtime"},
    {"results"},
    {"cli", "training"},
    {"__init__", "__main__"},
)
"""The parts of the package from the ground up: each may import itself and the rows below it, never its own row."""
ROW = {part: number for number, row in enumerate(ROWS) for part in row}

EDGES: dict[str, set[str]] = {
    "openvino": {"infer/backends/openvino/*", "training/*"},
    "av": {
        "capture/bitstream.py",
        "capture/decode/*",
        "capture/health/corruption.py",
        "capture/sound.py",
        "capture/sources/ffmpeg*.py",
        "doctor/packet_probe.py",
        "media/*",
        "outputs/record/footage.py",
        "outputs/stream/child.py",
    },
    "cv2": {
        "capture/decode/pictures.py",
        "capture/sources/synthetic/*",
        "capture/sources/webcam.py",
        "draw/*",
        "media/encoder.py",
        "outputs/snapshot.py",
        "outputs/window/*",
        "runtime/runtime.py",
        "training/*",
        "web/latest_frames.py",
    },
    "yaml": {"config/yaml_reader.py"},
    "pydantic": {"config/*", "outputs/*/settings.py", "web/settings.py"},
    "typer": {"cli/app.py", "training/cli.py"},
    "rich": {"cli/*", "doctor/report.py", "infer/models/download.py", "training/*"},
    "starlette": {"web/*"},
    "uvicorn": {"web/*"},
    "h11": {"web/*"},
    "websockets": {"web/*"},
    "prometheus_client": {"stats/prometheus.py"},
    "pooch": {"infer/models/download.py"},
    "platformdirs": {"infer/models/catalogue.py"},
    "supervision": {"frames.py"},
    "torch": {"training/*"},
    "nncf": {"training/export/*"},
    "pycocotools": {"training/evaluation/*"},
    "matplotlib": {"training/learn/journal.py"},
}
"""For each package that is not ours, the only modules that may import it."""


def imported(source: str, path: Path) -> Iterator[str]:
    """Full names of everything that a module of the package imports; `path` is relative to it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            above = ["pipeline", *path.with_suffix("").parts][: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def breaches(source: str, path: Path) -> list[str]:
    """What a module imports against the rules."""
    part = path.parts[0].removesuffix(".py")
    found = []
    for name in sorted(set(imported(source, path))):
        outer, _, rest = name.partition(".")
        inner = rest.partition(".")[0]
        if outer == "pipeline":
            # What is no part of the package is a name of its face, which stands above everything.
            above = ROW.get(inner, len(ROWS)) >= ROW[part]
            if above and inner != part:
                found.append(f"{path} imports {inner}")
        elif outer in EDGES and not any(fnmatchcase(path.as_posix(), each) for each in EDGES[outer]):
            found.append(f"{path} imports {outer}")
    return found


def modules() -> list[Path]:
    return sorted(each.relative_to(PACKAGE) for each in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=str)
def test_every_module_imports_only_what_its_layer_may(path: Path) -> None:
    assert breaches((PACKAGE / path).read_text(), path) == []


def test_every_part_of_the_package_has_its_place_in_the_rows() -> None:
    assert {path.parts[0].removesuffix(".py") for path in modules()} == set(ROW)
    assert len(ROW) == sum(len(row) for row in ROWS)


@pytest.mark.parametrize("folder", sorted({path.parent for path in modules()}), ids=str)
def test_every_folder_is_a_package(folder: Path) -> None:
    assert (PACKAGE / folder / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("from pipeline.infer import engine", "draw/overlay.py"),
        ("from .. import runtime", "capture/worker.py"),
        ("from pipeline.capture import worker", "infer/engine.py"),
        ("from .config.root import Config", "frames.py"),
        ("def late():\n    from pipeline.cli import main", "runtime/runtime.py"),
        ("from pipeline.web.listener import affordable", "outputs/paths.py"),
        ("from pipeline import open", "doctor/probe.py"),
        ("import openvino", "runtime/runtime.py"),
        ("import av", "capture/sources/webcam.py"),
        ("from cv2 import imshow", "runtime/replay.py"),
        ("import yaml", "config/root.py"),
        ("import pipeline.training.model.network", "infer/backends/openvino/detector.py"),
    ],
)
def test_a_planted_breach_is_found(source: str, path: str) -> None:
    assert len(breaches(source, Path(path))) == 1


def test_threads_are_made_in_one_place_only() -> None:
    makers = {str(path) for path in modules() if makes_threads((PACKAGE / path).read_text())}
    assert makers == {"concurrency/threads.py"}


def makes_threads(source: str) -> bool:
    names = {"Thread", "Timer", "ThreadPoolExecutor", "ProcessPoolExecutor", "start_new_thread", "to_thread"}
    nodes = list(ast.walk(ast.parse(source)))
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    used |= {node.id for node in nodes if isinstance(node, ast.Name)}
    return bool(names & used)


def test_run_py_imports_the_command_line_and_nothing_else() -> None:
    assert list(imported((ROOT / "run.py").read_text(), Path("run.py"))) == ["pipeline.cli.main"]


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    heavy = "{'cv2', 'openvino', 'av', 'starlette', 'uvicorn', 'pooch'}"
    code = f"import sys, pipeline.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
