"""YAML text to nodes with their places, and what is wrong with the text in plain words.

Only plain YAML is read: one document of texts, lists and blocks. What a text means is decided by
the key it belongs to, so that `no`, `12:30` and `1e3` stay words where a word is expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from .nodes import SPACES, Block, Entry, Node, Place, Problem, Sequence, Text, text_of

MAX_DEPTH_LEVELS = 20
MAX_NODE_COUNT = 10_000

_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\x7E\x85\xA0-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
_INDENT = re.compile(rf"^[ \t]*(?:- *)*(?:[^\s#'\"{SPACES}]+:)?[ \t]*([{SPACES}])", re.MULTILINE)
"""A space that is none where a line begins, or behind the colon of its key."""
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


class Composer:
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
        """Return the only document; None if there is none or it cannot be read to its end."""
        match = _FORBIDDEN.search(self._text)
        if match:
            place = place_in(self._text, match.start(), "")
            rule = f"must not hold the character U+{ord(match[0]):04X}"
            self._problems.append(Problem(self._place(place.line, place.column), self._key, rule))
            return None
        if space := _INDENT.search(self._text):
            place = place_in(self._text, space.start(1), "")
            rule = f"must be indented with spaces, got U+{ord(space[1]):04X}, which only looks like one; type it anew"
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
        if self._nodes > MAX_NODE_COUNT or len(key) > MAX_DEPTH_LEVELS:
            limit = f"{MAX_NODE_COUNT} values" if self._nodes > MAX_NODE_COUNT else f"{MAX_DEPTH_LEVELS} levels"
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
    message = f"{error.context or ''}: {error.problem}"
    for pattern, rule in _SCAN_ERRORS.items():
        match = re.search(pattern, message)
        if match:
            start = error.context_mark if rule.startswith(_ABOUT_THE_START) else None
            return start or error.problem_mark, key, rule.format(*match.groups())
    return error.problem_mark, key, f"cannot be read as YAML: {error.problem}"


def place_in(text: str, index: int, name: str) -> Place:
    """Return the place of a character of a text, counted from 0."""
    return Place(name, text.count("\n", 0, index) + 1, index - (text.rfind("\n", 0, index) + 1) + 1)
