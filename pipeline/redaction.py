"""What foreign text may not carry to terminals, logs, pages and files: cameras' secrets, and control characters."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from pipeline.address.parse import (
    NAMED_SECRET,
    authority,
    has_plain_host,
    inner,
    other_split,
    prefix,
    split_login,
)

MASK = "***"
VARIABLE = "${CAMERA_PASSWORD}"

_LOGIN = re.compile(r"(://)(?!USER:(?:PASSWORD|\$\{CAMERA_PASSWORD\})@HOST)[^\s/'\"]*@")
_AUTHORIZATION = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:basic|digest|bearer)\s+)[^\r\n]+")
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # what colours, moves and clears
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links, clipboards
    r"|\x1b[ -/]*[0-~]?"
)
"""Sequences that command a terminal, whole or cut off."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that are not seen, or turn the order of others about; a tab and the end of a line are none."""
_STAND_IN = "?"
_MIN_SECRET_LETTERS = 4
"""Letters that a secret needs to be masked wherever it stands: a shorter one would mask half of every text."""
_LONG_VALUE_LETTERS = 16
"""Letters that make any value in the query of an address a secret, whatever it is called."""

_lock = threading.Lock()
_patterns: set[str] = set()
_known: re.Pattern[str] | None = None
_formatter = logging.Formatter()


def redacted(address: str) -> str:
    """Return the address without user, password and query: what terminals, logs, pages and files may carry.

    Everything up to the last @ goes, because a password may itself hold / : # or @, unless that @ stands
    in a value behind the host; where both may be meant, the host goes too.
    """
    real = inner(address)
    scheme = prefix(real)
    front = address[: len(address) - len(real)] + scheme
    if other_split(real):
        return f"{front}{MASK}"
    given, rest = split_login(real)
    question = ""
    if scheme:
        rest, question, _ = rest.partition("?")
        if not given and not has_plain_host(rest):
            rest = MASK
    rest = NAMED_SECRET.sub(rf"\1{MASK}", rest)
    return f"{front}{f'{MASK}@' if given else ''}{rest}{f'?{MASK}' if question else ''}"


def template(address: str) -> str:
    """Return the address with `${CAMERA_PASSWORD}` in the place of its secret; empty where that cannot be done."""
    real = inner(address)
    scheme = prefix(real)
    if not scheme:
        return real if real == redacted(real) else ""
    if other_split(real) or real.count("?") > 1:
        return ""
    given, rest = split_login(real)
    rest = NAMED_SECRET.sub(rf"\1{VARIABLE}", rest)
    user, colon, _ = given.partition(":")
    front = f"{user}:{VARIABLE}@" if colon else f"{VARIABLE}@" if given else ""
    made = f"{scheme}{front}{rest}"
    return "" if _finder().search(made.replace(VARIABLE, "")) else made


def remember(address: str) -> None:
    """Note the secrets of an address, in every spelling, so that `scrub` can take them out of foreign text."""
    address = inner(address)
    _add(
        {
            each
            for given, rest in (split_login(address), *other_split(address))
            for each in _secrets(address, given, rest)
        }
    )


def _secrets(address: str, given: str, rest: str) -> set[str]:
    """Return what finds the secrets of an address with this login and this rest."""
    whole = bool(prefix(address))
    if not given and not whole:
        return set()
    if not given and not has_plain_host(rest):
        given = authority(rest)
    patterns: set[str] = set()
    user, colon, password = given.partition(":")
    if given:
        patterns.update(_of_login(user, password) if colon else _of_value(given))
    if not whole:
        patterns.update(_of_value(given.rpartition(":")[2]))
    for value in (each[2] for each in NAMED_SECRET.finditer(rest)):
        patterns.update(_of_value(value))
    for part in rest.partition("?")[2].split("&"):
        value = part.partition("=")[2]
        if len(value) >= _LONG_VALUE_LETTERS:
            patterns.update(_of_value(value))
    return patterns


def conceal(secret: str) -> None:
    """Note a secret that stands in no address."""
    _add(set(_of_value(secret)))


def printable(text: str) -> str:
    """Return the text without what commands a terminal; other control characters are seen as question marks."""
    if text.isascii() and text.isprintable():
        return text
    return _CONTROL.sub(_STAND_IN, _SEQUENCE.sub("", text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """Return foreign text that has one line to stand in: printable, and without the ends of lines that it has."""
    return " ".join(printable(text).split())


def scrub(text: str) -> str:
    """Return the text, printable, with every remembered secret, and every login inside an address, masked."""
    text = printable(text)
    text = NAMED_SECRET.sub(rf"\1{MASK}", _finder().sub(MASK, text))
    return _AUTHORIZATION.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}@", text))


def _add(patterns: set[str]) -> None:
    global _known
    with _lock:
        if not patterns <= _patterns:
            _patterns.update(patterns)
            _known = None


def _finder() -> re.Pattern[str]:
    """Return what finds every known secret; made when it is needed, because that takes long for hundreds of cameras."""
    global _known
    with _lock:
        if _known is None:
            _known = re.compile("|".join(sorted(_patterns, key=len, reverse=True)) or r"(?!)")
        return _known


def _of_login(user: str, password: str) -> Iterator[str]:
    """Give what finds a login: the password alone if it is long enough, and what Basic authentication makes of both."""
    for name, secret in {(user, password), (unquote(user), unquote(password))}:
        if secret:
            yield from _of_value(secret)
            yield from _in_base64(f"{name}:{secret}")


def _of_value(secret: str) -> Iterator[str]:
    for each in {secret, unquote(secret)}:
        spelled = "".join(map(_spelled, each))
        if len(each) >= _MIN_SECRET_LETTERS:
            yield spelled
            yield from _in_base64(each)
        elif each:
            yield f"(?<=:){spelled}(?=@|%40)"
            yield f"(?<=['\"]){spelled}(?=['\"])"


def _in_base64(secret: str) -> Iterator[str]:
    for alphabet in (None, b"-_"):
        yield (
            re.escape(base64.b64encode(secret.encode("utf-8", "surrogatepass"), alphabet).decode().rstrip("="))
            + "={0,2}"
        )


@lru_cache(maxsize=1024)
def _spelled(letter: str) -> str:
    """Return a pattern for one letter as it stands in text, JSON, HTML and Python, or encoded any number of times."""
    forms = {letter, html.escape(letter), json.dumps(letter)[1:-1], repr(letter)[1:-1], ascii(letter)[1:-1]}
    forms |= {"&#39;", "\\'"} if letter == "'" else {"+"} if letter == " " else set()
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in letter.encode("utf-8", "surrogatepass"))
    return f"(?:{'|'.join([*map(re.escape, sorted(forms, key=len, reverse=True)), encoded])})"


def guard_logs() -> None:
    """Take secrets out of each log record of this process from now on, when it is made; harmless when repeated."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, _CleanRecords):
        logging.setLogRecordFactory(_CleanRecords(make))


@contextmanager
def guarded_tracebacks() -> Iterator[None]:
    """Meanwhile print what nobody catches, on any thread, without secrets."""
    before = sys.excepthook, sys.unraisablehook, threading.excepthook
    sys.excepthook = _print
    sys.unraisablehook = lambda caught: _print(caught.exc_type, caught.exc_value, caught.exc_traceback)
    threading.excepthook = lambda caught: _print(caught.exc_type, caught.exc_value, caught.exc_traceback)
    try:
        yield
    finally:
        sys.excepthook, sys.unraisablehook, threading.excepthook = before


class _CleanRecords:
    """A factory of log records; a filter would have to stand on every logger and handler there will ever be."""

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, *arguments: Any, **named: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._make(*arguments, **named)
        try:
            message = record.getMessage()
        except Exception:
            # Logging itself reports arguments that do not fit, and prints them raw.
            record.args, message = (), str(record.msg)
        if (clean := scrub(message)) != message:
            record.msg, record.args = clean, ()
        if record.exc_info and isinstance(record.exc_info, tuple):
            record.exc_text = scrub(_formatter.formatException(record.exc_info))
        if record.stack_info:
            record.stack_info = scrub(record.stack_info)
        return record


def _print(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
    text = "".join(traceback.format_exception(kind, error, trace))
    if sys.stderr is not None:
        sys.stderr.write(scrub(text))
