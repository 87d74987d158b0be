"""What modules may be called and what they may not reach for, read from the source text."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "pipeline").rglob("*.py"))
EVERY = sorted({*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py"), ROOT / "run.py"})

EMPTY_WORDS = {"base", "common", "core", "handler", "helper", "helpers", "manager", "misc", "util", "utils"}
JUMPING = {"time.time", "time.sleep", "datetime.now", "datetime.utcnow", "datetime.today"}
STOPWATCH = {"time.monotonic", "time.perf_counter", "time.process_time"}
TIMES_FOREIGN_CALLS = {
    "pipeline/infer/backends/openvino/detector.py",
    "pipeline/training/evaluation/measurement.py",
    "pipeline/training/learn/trainer.py",
}
"""Modules whose own clock cannot be driven by a test, because what they wait for is not ours."""
PRINTS = {"pipeline/cli/app.py"}
UNFINISHED = re.compile(r"\x23.*\b(TODO|FIXME|XXX|HACK)\b")
SHARED_BASENAMES = {
    "app": "the command line and the page's server are both programs",
    "cameras": "the settings of cameras, and the cameras of a run",
    "detector": "the protocol, and its implementation on OpenVINO",
    "output": "every kind of output has one",
    "outputs": "the settings of outputs, and the outputs of a run",
    "pictures": "decoded ones, and those of the training",
    "settings": "every kind of output has them",
    "source": "the protocol, and the drawn implementation",
}
"""Module names that may stand in several folders, each with the reason."""
UNITS = (
    "S",
    "MS",
    "BYTES",
    "COUNT",
    "RATIO",
    "PX",
    "PIXELS",
    "LETTERS",
    "LEVELS",
    "MINUTES",
    "PPM",
    "ID",
    "FLAGS",
    "FPS",
)
UNITLESS = {
    "pipeline/capture/sources/synthetic/scenery.py": {"EYE", "FOCAL", "HORIZON"},
    "pipeline/capture/sources/synthetic/walker.py": {"PHASES", "_FINER", "_SHADOW"},
    "pipeline/capture/sources/webcam.py": {"_ASK_BUFFERS"},
    "pipeline/cli/log_format.py": {"_DEBUG_PRIORITY"},
    "pipeline/doctor/v4l2.py": {"_CAPABILITIES", "_CAPTURE", "_DISCRETE", "_FORMATS", "_INTERVALS", "_SIZES"},
    "pipeline/infer/backends/openvino/detector.py": {"_GREY"},
    "pipeline/notice.py": {"NOTICE"},
    "pipeline/outputs/hls/playlist.py": {"_VERSION"},
}
"""Numbers without a unit in their names: codes of a kernel, a format or a level, and measures of a drawing."""
NUMBERS_OF_LEARNING = "pipeline/training/"
"""Where numbers are those of the method, named as papers name them."""
VAGUE = {"LONGEST", "MOST", "PATIENCE", "POLL", "TICK", "TURN"}
QUESTIONS = {"How", "Those", "What", "Where", "Whether", "Which", "Who"}
MAX_FOLDER_MODULE_COUNT = 14
MAX_SMALL_LINE_COUNT = 80
MAX_SMALL_SHARE_PERCENT = 10


def called(source: str) -> Iterator[str]:
    """The last two names of every call, such as time.sleep, and its only one, such as print."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            yield f"{name}.{node.func.attr}"


def breaches(source: str, path: str) -> list[str]:
    """What a module of the program calls that it may not."""
    forbidden: set[str] = set()
    if path.startswith("pipeline/") and path != "pipeline/clock.py":
        forbidden |= JUMPING
        forbidden |= set() if path in TIMES_FOREIGN_CALLS else STOPWATCH
    if path not in PRINTS:
        forbidden |= {"print"}
    forbidden |= {"breakpoint", "eval", "exec", "os.system"}
    return sorted(forbidden & set(called(source)))


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in MODULES])
def test_no_module_calls_what_it_may_not(path: str) -> None:
    assert breaches((ROOT / path).read_text(), path) == []


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in MODULES])
def test_no_module_is_called_by_an_empty_word(path: str) -> None:
    assert not set(Path(path).with_suffix("").parts) & EMPTY_WORDS


@pytest.mark.parametrize("path", [str(path.relative_to(ROOT)) for path in EVERY])
def test_no_file_is_left_unfinished(path: str) -> None:
    assert UNFINISHED.search((ROOT / path).read_text()) is None


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("import time\ntime.sleep(1)", "pipeline/runtime/runtime.py"),
        ("import time\ntime.time()", "pipeline/capture/sources/ffmpeg.py"),
        ("import time\ntime.monotonic()", "pipeline/runtime/runtime.py"),
        ("from datetime import datetime\ndatetime.now()", "pipeline/stats/registry.py"),
        ("import datetime\ndatetime.datetime.now()", "pipeline/stats/registry.py"),
        ("print('x')", "pipeline/runtime/runtime.py"),
        ("breakpoint()", "pipeline/cli/app.py"),
    ],
)
def test_a_planted_breach_is_found(source: str, path: str) -> None:
    assert len(breaches(source, path)) == 1


def test_an_unfinished_line_is_found() -> None:
    assert UNFINISHED.search("x = 1  \x23 TODO later")


def test_every_exception_to_the_rules_still_exists() -> None:
    assert {path for path in TIMES_FOREIGN_CALLS | PRINTS if not (ROOT / path).is_file()} == set()


def shared_classes(sources: dict[str, str]) -> list[str]:
    """Return the names that several classes have, with one entry each."""
    names = [
        node.name for text in sources.values() for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)
    ]
    return sorted(name for name, count in Counter(names).items() if count > 1)


def shared_basenames(paths: Iterable[Path]) -> set[str]:
    """Return the names that several modules have, apart from those that Python wants."""
    counts = Counter(path.stem for path in paths if not path.stem.startswith("__"))
    return {name for name, count in counts.items() if count > 1}


def strays(tests: Iterable[str], modules: Iterable[str]) -> list[str]:
    """Return the unit tests that stand for no module; a test of one part of a module's work starts with its name."""
    known = {path.removesuffix(".py") for path in modules}
    stray = []
    for path in tests:
        folder, words = Path(path).parent, Path(path).stem.removeprefix("test_").split("_")
        if not any((folder / "_".join(words[:count])).as_posix() in known for count in range(1, len(words) + 1)):
            stray.append(path)
    return stray


def is_number(node: ast.expr) -> bool:
    """Return whether an expression is a plain number, or a sum of such."""
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def constants(source: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield the constants of a module with their values."""
    for node in ast.parse(source).body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        for target in targets:
            if isinstance(target, ast.Name) and target.id.isupper() and value is not None:
                yield target.id, value


def unitless(source: str) -> set[str]:
    """Return the numbers of a module whose names do not say of what they are."""
    return {name for name, value in constants(source) if is_number(value) and name.rpartition("_")[2] not in UNITS}


def vague(source: str) -> set[str]:
    """Return the constants of a module that are called by a word that could be anything's."""
    return {name for name, _ in constants(source) if name.strip("_") in VAGUE}


def questions(source: str) -> list[str]:
    """Return the functions of a module whose docstrings open as a question does."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not any(ast.unparse(each).endswith("property") for each in node.decorator_list)
        and (ast.get_docstring(node) or "-").split()[0] in QUESTIONS
    ]


def importers(sources: dict[str, str]) -> Counter[str]:
    """Count, for each module's path, the other modules that import it."""
    counts: Counter[str] = Counter()
    for path, text in sources.items():
        own = Path(path).parent.parts
        names = set()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                names |= {each.name.replace(".", "/") for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = own[: len(own) + 1 - node.level] if node.level else ()
                module = "/".join((*above, *(node.module or "").split("."))).strip("/")
                names |= {module, *(f"{module}/{each.name}" for each in node.names)}
        counts.update({f"{name}.py" for name in names} & set(sources) - {path})
    return counts


def small_with_one_importer(sources: dict[str, str]) -> list[str]:
    """Return the modules that are so small, and so little used, that they may as well be part of another."""
    counts = importers(sources)
    return [
        path
        for path, text in sources.items()
        if not Path(path).stem.startswith("__") and len(text.splitlines()) < MAX_SMALL_LINE_COUNT and counts[path] == 1
    ]


SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in MODULES}


def test_every_class_has_a_name_of_its_own() -> None:
    assert shared_classes(SOURCES) == []


def test_modules_share_a_name_only_for_a_reason() -> None:
    assert shared_basenames(MODULES) == set(SHARED_BASENAMES)


def test_every_unit_test_stands_where_its_module_does() -> None:
    folder = ROOT / "tests" / "unit"
    tests = [path.relative_to(folder).as_posix() for path in folder.rglob("test_*.py")]
    assert len(tests) > 50
    assert strays(tests, [path.relative_to(ROOT / "pipeline").as_posix() for path in MODULES]) == []


def test_numbers_say_their_units_but_for_those_listed() -> None:
    found = {path: names for path, text in SOURCES.items() if (names := unitless(text))}
    assert {path: names for path, names in found.items() if not path.startswith(NUMBERS_OF_LEARNING)} == UNITLESS


def test_no_constant_is_called_by_a_vague_word() -> None:
    assert {path: names for path, text in SOURCES.items() if (names := vague(text))} == {}


def test_no_folder_holds_too_many_modules() -> None:
    counts = Counter(path.parent for path in MODULES if not path.stem.startswith("__"))
    assert {str(folder): count for folder, count in counts.items() if count > MAX_FOLDER_MODULE_COUNT} == {}


def test_few_modules_are_small_and_used_once() -> None:
    small = small_with_one_importer(SOURCES)
    assert 100 * len(small) <= MAX_SMALL_SHARE_PERCENT * len(SOURCES), small


def test_docstrings_of_functions_are_no_questions() -> None:
    assert {path: asked for path, text in SOURCES.items() if (asked := questions(text))} == {}


def test_planted_breaches_of_names_are_found() -> None:
    assert shared_classes({"a.py": "class A: ...", "b.py": "class A: ..."}) == ["A"]
    assert shared_basenames([Path("a/x.py"), Path("b/x.py"), Path("a/__init__.py"), Path("b/__init__.py")]) == {"x"}
    assert strays(["a/test_x.py", "a/test_x_files.py", "a/test_y.py", "b/test_x.py"], ["a/x.py"]) == [
        "a/test_y.py",
        "b/test_x.py",
    ]
    assert unitless("A = 5\nB: float = -2 * 3\nC_S = 1.0\nD = 'x'\nE = True\nF = (1, 2)") == {"A", "B"}
    assert vague("_MOST = 'x'\nMOST_BYTES = 1\nTICK = 2") == {"_MOST", "TICK"}
    assert questions('def a(): "Whether it is."\ndef b(): "Return."\ndef c(): "What it is."\ndef d(): ...') == [
        "a",
        "c",
    ]
    sources = {"p/a.py": "from .b import x", "p/b.py": "x = 1", "p/c.py": "import p.d", "p/d.py": "\n" * 90}
    assert small_with_one_importer(sources) == ["p/b.py"]
