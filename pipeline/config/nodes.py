"""The configuration as it was written: texts, lists and blocks of keys that know where they stand."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.address.parse import inner
from pipeline.redaction import conceal, redacted, remember

_VARIABLE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WHOLE = re.compile(r"[-+]?(0|[1-9][0-9]{0,38})|0x[0-9a-fA-F]{1,16}|0o[0-7]{1,20}")
_DECIMAL = re.compile(r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")
_NOT_FINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_PRIVATE = re.compile(r"passw|secret|token|login|credential", re.IGNORECASE)
_MAX_SHOWN_COUNT = 48
_BARE_VARIABLE = re.compile(r"(?<!\$)\$([A-Za-z_][A-Za-z0-9_]*)")
_QUOTES = "\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a\u2032\u2033`\u00b4"
"""Quotes of word processors and web pages, which mean nothing here."""
SPACES = "\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff"
"""Spaces that are none in YAML, as they stand in a set of a pattern."""
_SPACE = re.compile(f"[{SPACES}]")
UNSET = "environment variable "
"""What the rule begins with that a variable breaks which is not set."""


class Place(NamedTuple):
    """The place of something: a file with line and column from 1, or a command line option with neither."""

    name: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}" if self.line else self.name


class Problem(NamedTuple):
    """One thing that is wrong with the configuration."""

    place: Place
    key: tuple[str, ...]
    rule: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), ".".join(map(brief, self.key)), self.rule) if part)


@dataclass(slots=True, eq=False)
class Text:
    """A single value; what it means depends on the key it belongs to."""

    place: Place
    text: str
    """With the environment's values in the place of `${NAME}`."""
    written: str
    """As it stands in the file: what messages may show."""
    plain: bool = True
    """Whether it stands there without quotes, so that it may be a number, true, false or null."""
    good: bool = True
    """False once a problem was reported for it, so that no second one follows."""

    @property
    def empty(self) -> bool:
        """Whether it is null or nothing at all."""
        return self.plain and self.written in ("", "~", "null", "Null", "NULL")

    def resolved(self) -> str | int | float | bool | None:
        """Its value by the rules of YAML 1.2: yes, on and 12:30 are words, 0123 is no number."""
        if self.empty:
            return None
        if not self.plain:
            return self.text
        if self.text in ("true", "True", "TRUE", "false", "False", "FALSE"):
            return self.text.lower() == "true"
        if _WHOLE.fullmatch(self.text):
            return int(self.text, 0)
        if _DECIMAL.fullmatch(self.text):
            return float(self.text)
        if self.text.lower() in _NOT_FINITE:
            return float(_NOT_FINITE[self.text.lower()])
        return self.text


@dataclass(slots=True, eq=False)
class Sequence:
    """A list of values."""

    place: Place
    nodes: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Entry:
    """A key's value, and where the key stands."""

    place: Place
    node: Node


@dataclass(slots=True, eq=False)
class Block:
    """Keys with their values, in the order of the file."""

    place: Place
    entries: dict[str, Entry] = field(default_factory=dict)

    def set(self, key: str, node: Node) -> None:
        """Give a key a value in the place of what it had."""
        self.entries[key] = Entry(node.place, node)


Node = Text | Sequence | Block


def text_of(written: str, place: Place, key: tuple[str, ...], problems: list[Problem], *, plain: bool = True) -> Text:
    """Return a text with `${NAME}` replaced from the environment; `$${` stands for a plain `${`."""
    good = True

    def replaced(match: re.Match[str]) -> str:
        nonlocal good
        name = match[1]
        if name is None:
            return "${"
        if match[0].endswith("}") and _VARIABLE_NAME.fullmatch(name) and name in os.environ:
            # A secret that comes from a file ends as files do.
            value = os.environ[name].rstrip("\r\n")
            if _PRIVATE.search(name):
                conceal(value)
            if not re.search(r"[\r\n]", value):
                return value
            good = False
            problems.append(Problem(place, key, f"environment variable {name} must be one line"))
            return match[0]
        good = False
        at = place._replace(column=place.column + match.start()) if place.line and plain else place
        if match[0].endswith("}") and _VARIABLE_NAME.fullmatch(name):
            problems.append(Problem(at, key, f"{UNSET}{name} is not set"))
        else:
            problems.append(Problem(at, key, "must be ${NAME} of letters, digits and _; write $${ for a plain ${"))
        return match[0]

    text = _VARIABLE.sub(replaced, written)
    remember(text)
    if text.startswith("~/") and os.path.expanduser(text) == text and not (key and _PRIVATE.search(key[-1])):
        good = False
        problems.append(Problem(place, key, "must not begin with ~/: this user has no home; write the whole path"))
    if good and (rule := _misprint(written, text, plain=plain)):
        good = False
        problems.append(Problem(place, key, rule))
    return Text(place, text, written, plain, good)


def _misprint(written: str, text: str, *, plain: bool) -> str:
    """Return what a value cannot mean as it is written, with what was meant; empty where there is nothing to say."""
    if control := _CONTROL.search(text):
        return f"must not hold the character U+{ord(control[0]):04X}"
    if plain and written[:1] in _QUOTES and written:
        return f"begins with the quote {_named(written[0])}, which is part of the text; write ' or \" instead"
    if plain and written and written[-1] in _QUOTES:
        return f"ends with the quote {_named(written[-1])}, which is part of the text; write ' or \" instead"
    if plain and (space := _SPACE.search(written)):
        return f"holds {_named(space[0])} in the place of a space; write a plain space, or put the text in quotes"
    bare = _BARE_VARIABLE.search(written)
    if bare and (bare[1] in os.environ or bare[0] == written):
        return f"write ${{{bare[1]}}} for the environment variable {bare[1]}; %24 stands for a plain $ in an address"
    return ""


def _named(letter: str) -> str:
    return f"U+{ord(letter):04X} ({unicodedata.name(letter, 'a letter').lower()})"


def shown(node: Node, key: tuple[str, ...]) -> str:
    """Return a value as a message may show it: short, on one line, without secrets."""
    if isinstance(node, Block):
        return "a block of keys"
    if isinstance(node, Sequence):
        return "a list"
    if node.empty:
        return "nothing"
    if key and _PRIVATE.search(key[-1]):
        return "***"
    if node.written == node.text and isinstance(node.resolved(), int | float):
        return node.text
    return f"'{brief(node.written)}'"


def brief(text: str) -> str:
    """Return a text cut to a length that fits a message, on one line, without secrets."""
    line = visible(text)
    return line if len(line) <= _MAX_SHOWN_COUNT else f"{line[: _MAX_SHOWN_COUNT - 3]}..."


def visible(text: str) -> str:
    """Return a text on one line that a terminal may show, without secrets."""
    line = " ".join(_CONTROL.sub(" ", redacted(text)).split())
    real = inner(line)
    before, at, after = real.rpartition("@")
    return f"{line[: len(line) - len(real)]}***@{after}" if at and not before.endswith("://***") else line
