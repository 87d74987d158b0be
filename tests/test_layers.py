"""Who may import whom, in our house and beyond it, read from the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.support.wait import HANG_S

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pipeline"
STAGE = {"address", "channel", "clock", "config", "drill", "errors", "frames", "ladder", "meters", "stats"}
STAGE |= {"version", "worker"}

ALLOWED: dict[str, set[str]] = {
    "address": set(),
    "clock": set(),
    "errors": set(),
    "frames": set(),
    "ladder": set(),
    "meters": set(),
    "version": set(),
    "channel": set(),
    "config": {"address", "config_section", "config_web", "drill"},
    "config_section": set(),
    "config_web": {"config_section"},
    "diagnosis": {"address", "capture"},
    "doctor": STAGE | {"capture", "diagnosis", "interrupt"},
    "drill": {"address"},
    "outputs": STAGE | {"render"},
    "redaction": {"address"},
    "worker": set(),
    "output_stats": set(),
    "stats": {"clock", "meters", "output_stats"},
    "config_nodes": {"address"},
    "config_checks": {"config", "config_nodes"},
    "config_overrides": {"config_checks", "config_nodes"},
    "config_file": {"config", "config_checks", "config_nodes", "config_overrides", "errors"},
    "config_schema": {"config"},
    "capture": STAGE,
    "infer": STAGE,
    "render": STAGE,
    "replay": STAGE | {"render"},
    "inference": STAGE | {"infer", "replay"},
    "runtime": STAGE | {"capture", "infer", "inference", "outputs", "redaction", "render", "replay"},
    "results": STAGE | {"render", "runtime"},
    "interrupt": {"worker"},
    "options": {"address", "config_nodes", "config_overrides"},
    "status": {"stats"},
    "summary": {"errors"},
    "session": {"address", "config", "errors", "interrupt", "replay", "runtime", "stats", "status", "summary"},
    "cli": STAGE
    | {"config_file", "config_overrides", "config_schema", "doctor", "infer", "options", "redaction"}
    | {"session", "status"},
    "__init__": {"config", "config_file", "errors", "frames", "results", "runtime", "version"},
    "__main__": {"cli"},
}
"""For each part of the package, the parts it may import."""

EDGES: dict[str, set[str]] = {
    "openvino": {"infer/*"},
    "av": {
        "capture/damage.py",
        "capture/ffmpeg.py",
        "capture/nap.py",
        "capture/observed.py",
        "capture/repacker.py",
        "capture/yuv.py",
        "render/clip.py",
        "render/encoder.py",
        "render/fragment.py",
        "render/publishing.py",
        "render/segment.py",
        "render/splice.py",
    },
    "cv2": {
        "capture/webcam.py",
        "capture/demo.py",
        "capture/picture.py",
        "capture/scenery.py",
        "capture/walker.py",
        "render/*",
    },
    "yaml": {"config_file.py"},
    "pydantic": {"config.py", "config_checks.py", "config_schema.py", "config_section.py", "config_web.py"},
    "typer": {"cli.py"},
    "rich": {"cli.py", "doctor.py", "status.py", "summary.py", "infer/download.py"},
    "starlette": {"render/*"},
    "uvicorn": {"render/*"},
    "prometheus_client": {"render/metrics.py"},
    "pooch": {"infer/download.py"},
    "platformdirs": {"infer/zoo.py"},
    "supervision": {"frames.py"},
    "torch": set(),
    "training": set(),
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
        if outer == "pipeline" and inner in ALLOWED and inner not in (ALLOWED[part] | {part}):
            found.append(f"{path} imports {inner}")
        elif outer in EDGES and not any(fnmatchcase(path.as_posix(), each) for each in EDGES[outer]):
            found.append(f"{path} imports {outer}")
    return found


def modules() -> list[Path]:
    return sorted(each.relative_to(PACKAGE) for each in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=str)
def test_every_module_imports_only_what_its_layer_may(path: Path) -> None:
    assert breaches((PACKAGE / path).read_text(), path) == []


def test_every_part_of_the_package_has_its_place_in_the_table() -> None:
    assert {path.parts[0].removesuffix(".py") for path in modules()} == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("from ..infer import model", "render/web.py"),
        ("from .. import runtime", "capture/camera.py"),
        ("from pipeline.capture import camera", "infer/engine.py"),
        ("from .config import Config", "frames.py"),
        ("def late():\n    from .cli import main", "runtime.py"),
        ("import openvino", "runtime.py"),
        ("import av", "capture/webcam.py"),
        ("from cv2 import imshow", "runtime.py"),
        ("import yaml", "config.py"),
        ("import training.network", "infer/model.py"),
    ],
)
def test_a_planted_breach_is_found(source: str, path: str) -> None:
    assert len(breaches(source, Path(path))) == 1


def test_threads_are_made_in_one_place_only() -> None:
    makers = {str(path) for path in modules() if makes_threads((PACKAGE / path).read_text())}
    assert makers == {"worker.py"}


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
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=HANG_S)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
