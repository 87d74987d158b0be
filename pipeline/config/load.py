"""YAML text to a Config, every problem at once as `file:line:column: key: rule, got value`.

Only plain YAML is read: one document of texts, lists and blocks. What a text means is decided by
the key it belongs to, so that `no`, `12:30` and `1e3` stay words where a word is expected.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pipeline.errors import ConfigError

from .nodes import Block, Entry, Node, Place, Problem, Sequence, Text, brief, text_of, visible
from .overrides import Override, apply
from .root import Config
from .validation import build, complete

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 10_000
MAX_PROBLEMS = 50

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_ANCHOR = "anchors (&) are not supported; put text that starts with & in quotes"
_ALIAS = "aliases (*) are not supported; put text that starts with * in quotes"
_TAG = "tags (!) are not supported; put text that starts with ! in quotes"
_SCAN_ERRORS = {
    r"scanning an anchor": _ANCHOR,
    r"scanning an alias": _ALIAS,
    r"scanning a tag|tag handle": _TAG,
    r"character '\\t'": "must be indented with spaces, got a tab",
    r"character '(.)' that cannot start": "must be in quotes because it starts with {0}",
    r"mapping values are not allowed": "unexpected ':'; check the indentation, and put text that holds ': ' in quotes",
    r"could not find expected ':'": "must be 'key: value'",
    r"expected <block end>": "does not line up with the lines above",
    r"expected ',' or '([]}])'": "must be closed with {0}; inside it, put text that holds [ ] {{ }} or , in quotes",
    r"unexpected end of stream|unexpected document separator": "must end with the quote it starts with",
    r"unknown escape character": "unknown escape after \\; use single quotes to keep \\ as it is",
}
_ABOUT_THE_START = (_ANCHOR, _ALIAS, _TAG, "must be closed", "must end", "must be 'key: value'")


class _Refused(Exception):
    """The text cannot be read any further."""


def load(path: str | os.PathLike[str] | None, overrides: tuple[Override | str, ...] = ()) -> Config:
    """The configuration in a file, or the default one where `path` is None; raises ConfigError.

    Overrides are applied before anything is checked; a text among them is `key.path=value`.
    """
    if path is None:
        return _config(Block(Place("configuration")), [], overrides)
    name = os.fspath(path)
    return parse(_read(name), name, overrides)


def parse(text: str, name: str = "configuration", overrides: tuple[Override | str, ...] = ()) -> Config:
    """The configuration in a text; `name` stands in the place of the file's name in messages."""
    problems: list[Problem] = []
    root = _Composer(text, lambda line, column: Place(name, line, column), problems).document()
    if root is None and not problems and overrides:
        root = Block(Place(name, 1, 1))
    elif root is None and not problems:
        problems.append(
            Problem(Place(name, 1, 1), (), "is empty; name a camera, such as 'cameras: {door: rtsp://address}'")
        )
    if root is not None and not isinstance(root, Block):
        problems.append(Problem(root.place, (), "must be a block of 'key: value' lines"))
        root = None
    return _config(root, problems, overrides)


def _config(root: Node | None, problems: list[Problem], overrides: tuple[Override | str, ...]) -> Config:
    config = None
    if isinstance(root, Block):
        complete(root, problems)
        for each in overrides:
            override = _parsed(each, problems) if isinstance(each, str) else each
            if override is not None:
                apply(root, override, problems)
                complete(root, problems)
        config = build(root, problems)
    if config is None or problems:
        lines = [str(problem) for problem in sorted(problems, key=lambda each: each.place)]
        more = [f"and {len(lines) - MAX_PROBLEMS} more"] if len(lines) > MAX_PROBLEMS else []
        raise ConfigError("\n".join(lines[:MAX_PROBLEMS] + more))
    return config


def _parsed(assignment: str, problems: list[Problem]) -> Override | None:
    key, equals, value = assignment.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    option = f"--set {brief(key)}={brief(value)}" if equals else f"--set {brief(key)}"
    if not equals or not all(path):
        problems.append(Problem(Place(option), (), "must be key.path=value"))
        return None
    node = _Composer(value, lambda line, column: Place(option), problems, path).document()
    return Override(option, path, node or Text(Place(option), "", "")) if node or not value.strip() else None


def _read(name: str) -> str:
    try:
        with open(name, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{visible(name)}: no such file{_similar(Path(name))}") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: is a folder, not a configuration file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{visible(name)}: cannot be read: {reason}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: must have at most {MAX_BYTES // 1024} KiB")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{name}:1:1: must be saved as UTF-8, got UTF-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig")
        place = _place_in(before, len(before), name)
        raise ConfigError(f"{place}: must be saved as UTF-8, got the byte 0x{data[error.start]:02x}") from None


def _similar(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else ""


def _place_in(text: str, index: int, name: str) -> Place:
    return Place(name, text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1)


class _Composer:
    """Turns the parser's events into nodes, refusing what a configuration has no use for."""

    def __init__(
        self, text: str, place: Callable[[int, int], Place], problems: list[Problem], key: tuple[str, ...] = ()
    ) -> None:
        self._text = text
        self._place = place
        self._problems = problems
        self._key = key
        self._nodes = 0
        self._events: Iterator[Any] = iter(())

    def document(self) -> Node | None:
        """The only document; None if there is none or it cannot be read to its end."""
        found = _FORBIDDEN.search(self._text)
        if found:
            place = _place_in(self._text, found.start(), "")
            rule = f"must not hold the character U+{ord(found[0]):04X}"
            self._problems.append(Problem(self._place(place.line, place.column), self._key, rule))
            return None
        root: Node | None = None
        try:
            self._events = yaml.parse(self._text, Loader=yaml.SafeLoader)
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if root is not None:
                        self._report(event.start_mark, self._key, "only one document is read; leave out what follows")
                        raise _Refused
                    first = next(self._events)
                    nothing = isinstance(first, yaml.ScalarEvent) and not first.value and first.implicit[0]
                    root = None if nothing else self._node(first, self._key)
        except yaml.MarkedYAMLError as error:
            self._report(*_scan_problem(error, self._key))
            return None
        except _Refused:
            return None
        return root

    def _report(self, mark: Any, key: tuple[str, ...], rule: str) -> None:
        self._problems.append(Problem(self._place(mark.line + 1, mark.column + 1), key, rule))

    def _node(self, event: Any, key: tuple[str, ...]) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES or len(key) > MAX_DEPTH:
            limit = f"{MAX_NODES} values" if self._nodes > MAX_NODES else f"{MAX_DEPTH} levels"
            self._report(event.start_mark, key[:3], f"must have at most {limit}")
            raise _Refused
        place = self._place(event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.AliasEvent):
            self._report(event.start_mark, key, _ALIAS)
            return Text(place, "", "*", good=False)
        good = self._unmarked(event, key)
        if isinstance(event, yaml.SequenceStartEvent):
            node: Node = self._sequence(place, key)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._block(place, key)
        else:
            node = text_of(event.value, place, key, self._problems, plain=event.style is None)
        return node if good else Text(place, "", "", good=False)

    def _unmarked(self, event: Any, key: tuple[str, ...]) -> bool:
        if event.anchor is not None:
            self._report(event.start_mark, key, _ANCHOR)
        elif event.tag is not None:
            self._report(event.start_mark, key, _TAG)
        else:
            return True
        return False

    def _sequence(self, place: Place, key: tuple[str, ...]) -> Sequence:
        sequence = Sequence(place)
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            sequence.nodes.append(self._node(event, (*key, str(len(sequence.nodes)))))
        return sequence

    def _block(self, place: Place, key: tuple[str, ...]) -> Block:
        block = Block(place)
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            at = self._place(event.start_mark.line + 1, event.start_mark.column + 1)
            name = event.value if isinstance(event, yaml.ScalarEvent) else None
            if name is None:
                self._node(event, (*key, "?"))
                self._report(event.start_mark, key, "a key must be one word")
            elif name == "<<" and event.style is None:
                self._report(event.start_mark, key, "merge keys (<<) are not supported")
                name = None
            value = self._node(next(self._events), (*key, "?" if name is None else name))
            if name is not None and name in block.entries:
                first = block.entries[name].place
                self._report(event.start_mark, (*key, name), f"given twice, first at line {first.line}")
            elif name is not None and self._unmarked(event, (*key, name)):
                block.entries[name] = Entry(at, value)
        return block


def _scan_problem(error: yaml.MarkedYAMLError, key: tuple[str, ...]) -> tuple[Any, tuple[str, ...], str]:
    said = f"{error.context or ''}: {error.problem}"
    for pattern, rule in _SCAN_ERRORS.items():
        found = re.search(pattern, said)
        if found:
            start = error.context_mark if rule.startswith(_ABOUT_THE_START) else None
            return start or error.problem_mark, key, rule.format(*found.groups())
    return error.problem_mark, key, f"cannot be read as YAML: {error.problem}"
