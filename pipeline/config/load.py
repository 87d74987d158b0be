"""A file or a text to a Config, every problem at once as `file:line:column: key: rule, got value`."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError

from .nodes import UNSET, Block, Node, Place, Problem, Text, brief, visible
from .overrides import Override, apply, node_of
from .root import Config
from .shorthand import complete
from .sources import given_sources, is_source
from .validation import build
from .yaml_reader import Composer, place_in

MAX_FILE_BYTES = 256 * 1024
"""Size of a file."""
MAX_PROBLEM_COUNT = 50
"""Lines of one error; the rest is counted."""


def load(path: str | os.PathLike[str] | None, overrides: tuple[Override | str, ...] = ()) -> Config:
    """Return the configuration in a file, or the default one where `path` is None; raises ConfigError.

    Overrides are applied before anything is checked; a text among them is `key.path=value`.
    """
    if path is None:
        return _config(Block(Place("configuration")), [], overrides)
    name = os.fspath(path)
    return parse(_read(name), name, overrides, file=name)


def of_values(values: Mapping[str, Any], overrides: tuple[Override | str, ...] = ()) -> Config:
    """Return the configuration in a mapping, as a file has it: short forms and `${NAME}` included."""
    problems: list[Problem] = []
    return _config(node_of(values, Place("configuration"), (), problems, python=True), problems, overrides)


def of_any(given: Any, overrides: tuple[Override | str, ...] = ()) -> Config:
    """Return the configuration that something given in its place means: a file, a source, a mapping, or None."""
    if isinstance(given, Mapping):
        return of_values(given, overrides)
    if given is not None and not isinstance(given, str | os.PathLike):
        raise ConfigError(f"configuration: must be a file, an address, a mapping or a Config, got {brief(repr(given))}")
    if given is None or not is_source(text := os.fspath(given)):
        return load(given, overrides)
    return load(None, (*given_sources([text]), *overrides))


def parse(
    text: str, name: str = "configuration", overrides: tuple[Override | str, ...] = (), *, file: str | None = None
) -> Config:
    """Return the configuration in a text; `name` stands in the place of the file's name in messages.

    `file` is where the text was read, which no output may overwrite.
    """
    problems: list[Problem] = []
    root = Composer(text, lambda line, column: Place(name, line, column), problems).document()
    if root is None and not problems and overrides:
        root = Block(Place(name, 1, 1))
    elif root is None and not problems:
        problems.append(
            Problem(Place(name, 1, 1), (), "is empty; name a camera, such as 'cameras: {door: rtsp://address}'")
        )
    if root is not None and not isinstance(root, Block):
        problems.append(Problem(root.place, (), "must be a block of 'key: value' lines"))
        root = None
    return _config(root, problems, overrides, file)


def _config(
    root: Node | None, problems: list[Problem], overrides: tuple[Override | str, ...], file: str | None = None
) -> Config:
    config = None
    if isinstance(root, Block):
        complete(root, problems)
        for each in overrides:
            override = _parsed(each, problems) if isinstance(each, str) else each
            if override is not None:
                apply(root, override, problems)
                complete(root, problems)
        config = build(root, problems, file)
    if config is None or problems:
        lines = [str(problem) for problem in _merged(sorted(problems, key=lambda each: each.place))]
        more = [f"and {len(lines) - MAX_PROBLEM_COUNT} more"] if len(lines) > MAX_PROBLEM_COUNT else []
        raise ConfigError("\n".join(lines[:MAX_PROBLEM_COUNT] + more))
    return config


def _merged(problems: list[Problem]) -> list[Problem]:
    """Return the problems with one for each variable that is not set, in however many places it is missed."""
    unset = Counter(problem.rule for problem in problems if problem.rule.startswith(UNSET))
    kept: dict[str, Problem] = {}
    for number, problem in enumerate(problems):
        more = unset[problem.rule] - 1
        rule = f"{problem.rule}, here and in {more} other place{'s' * (more > 1)}" if more > 0 else problem.rule
        kept.setdefault(problem.rule if problem.rule in unset else str(number), problem._replace(rule=rule))
    return list(kept.values())


def _parsed(assignment: str, problems: list[Problem]) -> Override | None:
    key, equals, value = assignment.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    option = f"--set {brief(key)}={brief(value)}" if equals else f"--set {brief(key)}"
    if not equals or not all(path):
        problems.append(Problem(Place(option), (), "must be key.path=value"))
        return None
    node = Composer(value, lambda line, column: Place(option), problems, path).document()
    return Override(option, path, node or Text(Place(option), "", "")) if node or not value.strip() else None


def _read(name: str) -> str:
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{visible(name)}: no such file{_similar(Path(name))}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder, not a configuration file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{visible(name)}: cannot be read: {reason}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"{name}: must have at most {MAX_FILE_BYTES // 1024} KiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{name}:1:1: must be saved as UTF-8, got UTF-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        place = place_in(before, len(before), name)
        raise ConfigError(f"{place}: must be saved as UTF-8, got the byte 0x{data[error.start]:02x}") from None


def _similar(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""
