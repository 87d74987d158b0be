"""What a source's address means, and how it may be shown: never with its secrets."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

Kind = Literal["demo", "webcam", "network", "plugin", "file"]

MASK = "***"
VARIABLE = "${CAMERA_PASSWORD}"

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
_FAULTS = re.compile(r"^(fault:[^:]*:)+")
_FILE_SCHEMES = frozenset({"", "file"})
_NETWORK = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt"})
_PATH = re.compile(r"^(/(?!/)|\.|~|[A-Za-z]:[\\/])")
_PLAIN_HOST = re.compile(r"^(\[[^]]*\]|[^:]*)(:\d*)?$")
_NAMED = re.compile(r"(?i)((?:pass(?:word|wd)?|pwd|token|secret|credentials?|signature)=)([^&;?\s'\"]+)")
_ASKED = re.compile(r"[?&;]\w[\w.-]*=")
_LOGIN = re.compile(r"(://)(?!USER:(?:PASSWORD|\$\{CAMERA_PASSWORD\})@HOST)[^\s/'\"]*@")
_AUTHORIZATION = re.compile(r"(?i)(authorization['\"]?\s*[:=]\s*['\"]?(?:basic|digest|bearer)\s+)[^\r\n]+")
_LEAST = 4
"""Letters that a secret needs to be masked wherever it stands: a shorter one would mask half of every text."""
_LONG = 16
"""Letters that make any value in the query of an address a secret, whatever it is called."""

_lock = threading.Lock()
_patterns: set[str] = set()
_known: re.Pattern[str] | None = None


def kind(address: str) -> Kind:
    """Tell which sort of source an address names.

    `demo`, a camera number or /dev/video* (`webcam`), a `network` address, a scheme that only another distribution
    can know (`plugin`), or a `file`.
    """
    address = inner(address)
    if address == "demo":
        return "demo"
    if address.isdigit() or address.startswith(("/dev/video", "/dev/v4l/")):
        return "webcam"
    named = scheme(address)
    return "network" if named in _NETWORK else "file" if named in _FILE_SCHEMES else "plugin"


def scheme(address: str) -> str:
    """The part before ://, in lower case; empty for a plain path."""
    found = _SCHEME.match(inner(address))
    return found[1].lower() if found else ""


def inner(address: str) -> str:
    """The address of the source itself, without a `fault:` in front of it."""
    return _FAULTS.sub("", address)


def login(address: str) -> tuple[str, str]:
    """User and password as they stand in an address; empty where it has none."""
    user, _, password = _parts(inner(address))[0].partition(":")
    return user, password


def connectable(address: str) -> str:
    """A network address with the letters of its password encoded that would end the host's name too early."""
    found = _SCHEME.match(address)
    rest = address[found.end() :] if found else ""
    authority = _authority(rest)
    if found is None or "@" in authority or "@" not in rest or _PLAIN_HOST.match(authority):
        return address
    given, _, tail = rest.rpartition("@")
    user, _, password = given.partition(":")
    return f"{found[0]}{quote(user, safe='%')}:{quote(password, safe='%')}@{tail}"


def redacted(address: str) -> str:
    """The address without user, password and query: what terminals, logs, pages and files may carry.

    Everything up to the last @ goes, because a password may itself hold / : # or @, unless that @ stands
    in a value behind the host; where both may be meant, the host goes too.
    """
    real = inner(address)
    found = _SCHEME.match(real)
    front = address[: len(address) - len(real)] + (found[0] if found else "")
    if _otherwise(real):
        return f"{front}{MASK}"
    given, rest = _parts(real)
    question = ""
    if found:
        rest, question, _ = rest.partition("?")
        if not given and not _PLAIN_HOST.match(_authority(rest)):
            rest = MASK
    rest = _NAMED.sub(rf"\1{MASK}", rest)
    return f"{front}{f'{MASK}@' if given else ''}{rest}{f'?{MASK}' if question else ''}"


def template(address: str) -> str:
    """The address with `${CAMERA_PASSWORD}` in the place of its secret; empty where that cannot be done."""
    real = inner(address)
    found = _SCHEME.match(real)
    if not found:
        return real if real == redacted(real) else ""
    if _otherwise(real) or real.count("?") > 1:
        return ""
    given, rest = _parts(real)
    rest = _NAMED.sub(rf"\1{VARIABLE}", rest)
    user, colon, _ = given.partition(":")
    front = f"{user}:{VARIABLE}@" if colon else f"{VARIABLE}@" if given else ""
    made = f"{found[0]}{front}{rest}"
    return "" if _finder().search(made.replace(VARIABLE, "")) else made


def remember(address: str) -> None:
    """Note the secrets of an address, in every spelling, so that `scrub` can take them out of foreign text."""
    address = inner(address)
    _add({each for given, rest in (_parts(address), *_otherwise(address)) for each in _secrets(address, given, rest)})


def _secrets(address: str, given: str, rest: str) -> set[str]:
    """What finds the secrets of an address with this login and this rest."""
    whole = _SCHEME.match(address) is not None
    if not given and not whole:
        return set()
    if not given and not _PLAIN_HOST.match(_authority(rest)):
        given = _authority(rest)
    found: set[str] = set()
    user, colon, password = given.partition(":")
    if given:
        found.update(_of_login(user, password) if colon else _of_value(given))
    if not whole:
        found.update(_of_value(given.rpartition(":")[2]))
    for value in (each[2] for each in _NAMED.finditer(rest)):
        found.update(_of_value(value))
    for part in rest.partition("?")[2].split("&"):
        value = part.partition("=")[2]
        if len(value) >= _LONG:
            found.update(_of_value(value))
    return found


def conceal(secret: str) -> None:
    """Note a secret that stands in no address."""
    _add(set(_of_value(secret)))


def scrub(text: str) -> str:
    """The text with every remembered secret, and every login inside an address, masked."""
    text = _NAMED.sub(rf"\1{MASK}", _finder().sub(MASK, text))
    return _AUTHORIZATION.sub(rf"\1{MASK}", _LOGIN.sub(rf"\1{MASK}@", text))


def _parts(address: str) -> tuple[str, str]:
    """What stands before the last @ as a login, and all that follows without the scheme."""
    found = _SCHEME.match(address)
    rest = address[found.end() :] if found else address
    given, at, tail = rest.rpartition("@")
    if not at or (not found and (":" not in given or _PATH.match(address))):
        return "", rest
    if found and _in_value(given):
        return "", rest
    return given, tail


def _otherwise(address: str) -> list[tuple[str, str]]:
    """The same as `_parts` where an @ behind a question mark may stand in a value as well as in the login."""
    found = _SCHEME.match(address)
    front, _, query = (address[found.end() :] if found else "").partition("?")
    given, at, rest = front.rpartition("@")
    meant = at and "@" in query and _in_value(f"{rest}?{query.rpartition('@')[0]}")
    return [(given, f"{rest}?{query}")] if meant else []


def _in_value(given: str) -> bool:
    """Whether an @ after this text belongs to a value behind a plain host, not to a login in front of one."""
    host = _authority(given)
    behind = given[len(host) :]
    plain = "@" not in host and _PLAIN_HOST.match(host) is not None
    return plain and bool(_ASKED.search(behind) or _NAMED.search(behind))


def _authority(rest: str) -> str:
    """What stands before the path."""
    return re.split(r"[/?#]", rest, maxsplit=1)[0]


def _add(patterns: set[str]) -> None:
    global _known
    with _lock:
        if not patterns <= _patterns:
            _patterns.update(patterns)
            _known = None


def _finder() -> re.Pattern[str]:
    """What finds every known secret; made when it is needed, because that takes long for hundreds of cameras."""
    global _known
    with _lock:
        if _known is None:
            _known = re.compile("|".join(sorted(_patterns, key=len, reverse=True)) or r"(?!)")
        return _known


def _of_login(user: str, password: str) -> Iterator[str]:
    """What finds a login: the password alone if it is long enough, and what Basic authentication makes of both."""
    for name, secret in {(user, password), (unquote(user), unquote(password))}:
        if secret:
            yield from _of_value(secret)
            yield from _in_base64(f"{name}:{secret}")


def _of_value(secret: str) -> Iterator[str]:
    for each in {secret, unquote(secret)}:
        spelled = "".join(map(_spelled, each))
        if len(each) >= _LEAST:
            yield spelled
            yield from _in_base64(each)
        elif each:
            yield f"(?<=:){spelled}(?=@|%40)"
            yield f"(?<=['\"]){spelled}(?=['\"])"


def _in_base64(secret: str) -> Iterator[str]:
    for alphabet in (None, b"-_"):
        yield re.escape(base64.b64encode(secret.encode(), alphabet).decode().rstrip("=")) + "={0,2}"


@lru_cache(maxsize=1024)
def _spelled(letter: str) -> str:
    """A pattern for one letter as it stands in text, JSON, HTML and Python, or encoded any number of times."""
    forms = {letter, html.escape(letter), json.dumps(letter)[1:-1], repr(letter)[1:-1], ascii(letter)[1:-1]}
    forms |= {"&#39;", "\\'"} if letter == "'" else {"+"} if letter == " " else set()
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in letter.encode())
    return f"(?:{'|'.join([*map(re.escape, sorted(forms, key=len, reverse=True)), encoded])})"
