"""Changes the program on purpose, one small fault at a time, and tells which of them no unit test notices.

`python -m tests.mutants` draws 300 of all faults; `--count N` draws so many, `--seed N` others, `--minutes N` ends
early, `--only pipeline/media pipeline/web` stays in some parts. The tests of a module are its mirror in `tests/unit`
(`pipeline/media/nal.py`: `tests/unit/media/test_nal.py`, also `test_nal_*.py`) and what imports it beside the mirror,
else the tests anywhere that import it, else the tests of the modules that use it. They run in a copy of the working
tree, with a limit of time taken from a run without any fault.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from tests.support import reaper

ROOT = Path(__file__).parents[1]
NOT_COPIED = (".*", "__pycache__", "*.egg-info", "build", "dist", "out", "runs", "site")
NOT_MUTATED = (
    "pipeline/training/",
    "pipeline/capture/sources/synthetic/scenery.py",
    "pipeline/capture/sources/synthetic/walker.py",
)
"""The trainer's packages are not on every machine; and the drawn street may look as it likes."""
FACTOR, EXTRA_S = 3.0, 15.0
"""How much longer than without a fault the tests may take, and so many seconds more, before they count as hung."""
BASELINE_LIMIT_S = 900.0
LARGE = 100
"""A number from which on one more makes next to no difference."""

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault: in the file at `path` the bytes from `start` to `end` become `after`."""

    path: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def applied(self, source: str) -> str:
        """Return the source with the fault in it."""
        data = source.encode()
        return (data[: self.start] + self.after.encode() + data[self.end :]).decode()

    def __str__(self) -> str:
        before, after = (" ".join(text.split())[:90] for text in (self.before, self.after))
        return f"{self.path}:{self.line}: {before}  ->  {after}"


class Finder(ast.NodeVisitor):
    """Collects the faults of one file; nothing is changed in annotations, docstrings, assertions and f-strings."""

    def __init__(self, path: str, source: str) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._data = source.encode()
        self._begins = [0]
        for line in self._data.splitlines(keepends=True):
            self._begins.append(self._begins[-1] + len(line))
        self.visit(ast.parse(source))

    def _add(self, node: ast.expr | ast.stmt, after: str) -> None:
        start = self._begins[node.lineno - 1] + node.col_offset
        end = self._begins[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        before = self._data[start:end].decode()
        self.found.append(Mutant(self._path, node.lineno, start, end, before, after))

    def _body(self, statements: list[ast.stmt]) -> None:
        for each in statements:
            self.visit(each)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leave words alone; the places of what stands in them are not known exactly."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leave what only tells the type checker."""

    def visit_arg(self, node: ast.arg) -> None:
        """Leave annotations."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Go on with the value alone."""
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Go on with defaults and body."""
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self._body(node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Go on with the body."""
        # What a protocol does not do cannot fail.
        if not any(isinstance(base, ast.Name) and base.id == "Protocol" for base in node.bases):
            self._body(node.body)

    def visit_If(self, node: ast.If) -> None:
        """Take the other branch, where no comparison is changed anyway."""
        if "TYPE_CHECKING" in ast.unparse(node.test) or "__name__" in ast.unparse(node.test):
            return
        if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.NamedExpr):
            self._add(node.test, f"(not ({ast.unparse(node.test)}))")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Change each comparison."""
        for place, operator in enumerate(node.ops):
            others = [*node.ops[:place], COMPARED[type(operator)](), *node.ops[place + 1 :]]
            self._add(node, f"({ast.unparse(ast.Compare(node.left, others, node.comparators))})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Change `and` and `or` into each other."""
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._add(node, f"({ast.unparse(ast.BoolOp(other, node.values))})")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Leave out `not` and the sign."""
        if isinstance(node.op, ast.Not | ast.USub):
            self._add(node, f"({ast.unparse(node.operand)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Change how two values are computed; strings and types would only fail at once."""
        words = any(isinstance(each, ast.JoinedStr) or _text(each) for each in (node.left, node.right))
        if not words and (other := COMPUTED.get(type(node.op))) is not None:
            self._add(node, f"({ast.unparse(ast.BinOp(node.left, other(), node.right))})")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        """Choose the other value."""
        self._add(node, f"({ast.unparse(ast.IfExp(node.test, node.orelse, node.body))})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Change small numbers by one, double large ones, and turn round what is true or false."""
        if isinstance(node.value, bool):
            self._add(node, str(not node.value))
        elif isinstance(node.value, int | float):
            self._add(node, repr(node.value + 1 if abs(node.value) < LARGE else 2 * node.value))

    def visit_Expr(self, node: ast.Expr) -> None:
        """Leave a call out."""
        if isinstance(node.value, ast.Call | ast.Await):
            self._add(node, "pass")
            self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Leave the change of a value out."""
        self._add(node, "pass")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        """Leave it out."""
        self._add(node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        """Raise nothing."""
        self._add(node, "pass")

    def visit_Return(self, node: ast.Return) -> None:
        """Return nothing, where that is not nearly the same."""
        if node.value is not None and not (isinstance(node.value, ast.Constant) and not node.value.value):
            self._add(node, "return None")
        self.generic_visit(node)

    def visit_Continue(self, node: ast.Continue) -> None:
        """End the loop instead of going on with it."""
        self._add(node, "break")

    def visit_Break(self, node: ast.Break) -> None:
        """Go on with the loop instead of ending it."""
        self._add(node, "continue")


def _text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def modules() -> list[str]:
    """Return the paths of all modules whose faults count."""
    paths = (path.relative_to(ROOT).as_posix() for path in (ROOT / "pipeline").rglob("*.py"))
    return sorted(path for path in paths if not path.startswith(NOT_MUTATED))


def mutants(path: str) -> list[Mutant]:
    """Return all faults of a module."""
    return Finder(path, (ROOT / path).read_text()).found


@cache
def tests_of(path: str) -> tuple[str, ...]:
    """Return the test files that are to notice the faults of a module; none where nobody tests or uses it."""
    module = PurePosixPath(path).with_suffix("")
    mirrors, users = _mirrors(module), _importers(module, "tests/unit")
    folders = {PurePosixPath(mirror).parent for mirror in mirrors}
    found = mirrors | {test for test in users if PurePosixPath(test).parent in folders} if mirrors else users
    if not found:
        found = {test for user in _importers(module, "pipeline") for test in tests_of(user)}
    return tuple(sorted(found))


def _mirrors(module: PurePosixPath) -> set[str]:
    """Return the test files called as a module is; without the underscores of `__main__`."""
    folder = ROOT.joinpath("tests/unit", *module.parts[1:-1])
    name = module.parts[-1].strip("_")
    found = {*folder.glob(f"test_{name}.py"), *folder.glob(f"test_{name}_*.py")}
    return {each.relative_to(ROOT).as_posix() for each in found}


def _importers(module: PurePosixPath, folder: str) -> set[str]:
    """Return the files in a folder that import a module; those nearest to it, if there are some."""
    found = {path for path, names in _imports(folder).items() if ".".join(module.parts) in names}
    near = "/".join(("tests/unit", *module.parts[1:2], ""))
    return {path for path in found if path.startswith(near)} or found


@cache
def _imports(folder: str) -> dict[str, frozenset[str]]:
    """Return by the path of each file in a folder all that it imports, by full names."""
    found = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        relative = path.relative_to(ROOT)
        if folder == "tests/unit" and not path.name.startswith("test_"):
            continue
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                above = relative.parts[: -node.level] if node.level else ()
                package = ".".join([*above, *([node.module] if node.module else [])])
                names |= {package, *(f"{package}.{each.name}" for each in node.names)}
        found[relative.as_posix()] = frozenset(names)
    return found


class Laboratory:
    """A copy of the working tree in which faults are tried, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._root = folder / "tree"
        shutil.copytree(ROOT, self._root, ignore=shutil.ignore_patterns(*NOT_COPIED))
        self._limits: dict[tuple[str, ...], float | None] = {}
        self._stamp = time.time()

    def limit(self, tests: tuple[str, ...]) -> float | None:
        """Return the seconds that these tests may take; None where they fail without any fault."""
        if tests not in self._limits:
            begun = time.monotonic()
            good = self._run(tests, BASELINE_LIMIT_S) == 0
            self._limits[tests] = FACTOR * (time.monotonic() - begun) + EXTRA_S if good else None
        return self._limits[tests]

    def notices(self, mutant: Mutant, tests: tuple[str, ...], limit: float) -> bool:
        """Try whether these tests fail, or hang, with a fault."""
        source = (ROOT / mutant.path).read_text()
        self._write(mutant.path, mutant.applied(source))
        try:
            return self._run(tests, limit) != 0
        finally:
            self._write(mutant.path, source)

    def _write(self, path: str, source: str) -> None:
        # Python compiles a module anew by the second of its time and by its size, which may both stay the same.
        self._stamp += 2
        (self._root / path).write_text(source)
        os.utime(self._root / path, (self._stamp, self._stamp))

    def _run(self, tests: tuple[str, ...], limit: float) -> int:
        """Run pytest until the first failure; return its exit code, or -1 where it takes longer."""
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider", *tests]
        surroundings = os.environ | {"PYTHONPATH": str(self._root)}
        with subprocess.Popen(
            command,
            cwd=self._root,
            env=surroundings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as run:
            try:
                return run.wait(limit)
            except subprocess.TimeoutExpired:
                return -1
            finally:
                # Also what the tests started, which a fault may have left behind.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)


def drawn(only: list[str], count: int, seed: int) -> list[Mutant]:
    """Return so many of all faults below some paths, chosen by a seed; of what has no unit test there are none."""
    every = [each for path in modules() if path.startswith(tuple(only)) and tests_of(path) for each in mutants(path)]
    return random.Random(seed).sample(every, min(count, len(every)))


def tried(
    chosen: Iterable[Mutant], laboratory: Laboratory, say: Callable[[str], None]
) -> Iterator[tuple[Mutant, bool]]:
    """Try faults one after the other; yield each with whether it was noticed."""
    untestable: set[str] = set()
    for each in chosen:
        tests = tests_of(each.path)
        limit = laboratory.limit(tests)
        if limit is None:
            if each.path not in untestable:
                say(f"{each.path}: its tests fail without any fault: {' '.join(tests)}")
            untestable.add(each.path)
            continue
        noticed = laboratory.notices(each, tests, limit)
        say(f"{'killed  ' if noticed else 'SURVIVED'} {each}")
        yield each, noticed


def table(results: list[tuple[Mutant, bool]]) -> str:
    """Put in lines what was noticed of each module, of all together, and what was not."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for mutant, noticed in results:
        counts[mutant.path][not noticed] += 1
    lines = [f"{'killed':>7} {'survived':>9}  module"]
    lines += [f"{killed:7} {survived:9}  {path}" for path, (killed, survived) in sorted(counts.items())]
    killed = sum(noticed for _, noticed in results)
    lines.append(f"{killed:7} {len(results) - killed:9}  all: {killed / max(1, len(results)):.0%} killed")
    return "\n".join([*lines, "", "Survivors:", *sorted(str(mutant) for mutant, noticed in results if not noticed)])


def main(arguments: list[str]) -> int:
    """Try a sample of faults and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many faults to try (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="which ones to try (default: 1)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin none after so long")
    parser.add_argument(
        "--only", nargs="+", default=["pipeline/"], metavar="PATH", help="folders or modules (default: all)"
    )
    chosen = parser.parse_args(arguments)
    os.nice(10)
    alive = reaper.guard()
    ends = time.monotonic() + 60 * chosen.minutes
    results: list[tuple[Mutant, bool]] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        every = tried(
            drawn(chosen.only, chosen.count, chosen.seed),
            Laboratory(Path(folder)),
            lambda line: print(line, flush=True),
        )
        for result in every:
            results.append(result)
            if time.monotonic() > ends:
                break
    os.close(alive)
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
