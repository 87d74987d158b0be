"""The meaning of a source's address: its kind, its parts, and the address to connect to."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

Kind = Literal["demo", "webcam", "network", "plugin", "file"]

NAMED_SECRET = re.compile(r"(?i)((?:pass(?:word|wd)?|pwd|token|secret|credentials?|signature)=)([^&;?\s'\"]+)")
"""A value whose name says that it is a secret: the name with its equals sign, and the value."""

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
_FAULTS = re.compile(r"^(fault:[^:]*:)+")
_FILE_SCHEMES = frozenset({"", "file"})
_NETWORK = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt"})
_PATH = re.compile(r"^(/(?!/)|\.|~|[A-Za-z]:[\\/])")
_PLAIN_HOST = re.compile(r"^(\[[^]]*\]|[^:]*)(:\d*)?$")
_ASKED = re.compile(r"[?&;]\w[\w.-]*=")


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
    """Return the part before ://, in lower case; empty for a plain path."""
    match = _SCHEME.match(inner(address))
    return match[1].lower() if match else ""


def inner(address: str) -> str:
    """Return the address of the source itself, without a `fault:` in front of it."""
    return _FAULTS.sub("", address)


def login(address: str) -> tuple[str, str]:
    """Return user and password as they stand in an address; empty where it has none."""
    user, _, password = split_login(inner(address))[0].partition(":")
    return user, password


def connectable(address: str) -> str:
    """Return a network address with the letters of its password encoded that would end the host's name too early."""
    match = _SCHEME.match(address)
    rest = address[match.end() :] if match else ""
    host = authority(rest)
    if match is None or "@" in host or "@" not in rest or has_plain_host(host):
        return address
    given, _, tail = rest.rpartition("@")
    user, _, password = given.partition(":")
    return f"{match[0]}{quote(user, safe='%')}:{quote(password, safe='%')}@{tail}"


def prefix(address: str) -> str:
    """Return the scheme with its :// as written; empty for a plain path."""
    match = _SCHEME.match(address)
    return match[0] if match else ""


def split_login(address: str) -> tuple[str, str]:
    """Return what stands before the last @ as a login, and all that follows without the scheme."""
    match = _SCHEME.match(address)
    rest = address[match.end() :] if match else address
    given, at, tail = rest.rpartition("@")
    if not at or (not match and (":" not in given or _PATH.match(address))):
        return "", rest
    if match and _in_value(given):
        return "", rest
    return given, tail


def other_split(address: str) -> list[tuple[str, str]]:
    """Return the other meaning of an address whose @ behind a question mark may stand in a value or in the login.

    It is a login and a rest as from `split_login`; an empty list where there is but one meaning.
    """
    match = _SCHEME.match(address)
    front, _, query = (address[match.end() :] if match else "").partition("?")
    given, at, rest = front.rpartition("@")
    meant = at and "@" in query and _in_value(f"{rest}?{query.rpartition('@')[0]}")
    return [(given, f"{rest}?{query}")] if meant else []


def _in_value(given: str) -> bool:
    """Tell whether an @ after this text belongs to a value behind a plain host, not to a login in front of one."""
    host = authority(given)
    behind = given[len(host) :]
    plain = "@" not in host and has_plain_host(host)
    return plain and bool(_ASKED.search(behind) or NAMED_SECRET.search(behind))


def has_plain_host(rest: str) -> bool:
    """Tell whether an address without its scheme starts with a host, a port behind it at most."""
    return _PLAIN_HOST.match(authority(rest)) is not None


def authority(rest: str) -> str:
    """Return what stands before the path of an address without its scheme."""
    return re.split(r"[/?#]", rest, maxsplit=1)[0]
