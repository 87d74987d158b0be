"""The meaning of a source's address: its kind, its parts, and the address to connect to."""

from __future__ import annotations

import os
import re
import stat
from typing import Literal
from urllib.parse import quote, unquote

Kind = Literal["demo", "webcam", "network", "plugin", "file"]

NAMED_SECRET = re.compile(r"(?i)((?:pass(?:word|wd)?|pwd|token|secret|credentials?|signature)=)([^&;?\s'\"]+)")
"""A value whose name says that it is a secret: the name with its equals sign, and the value."""

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
_FAULTS = re.compile(r"^((?i:fault):[^:]*:)+")
_FILE_SCHEMES = frozenset({"", "file"})
_NETWORK = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt"})
_PATH = re.compile(r"^(/(?!/)|\.|~|[A-Za-z]:[\\/])")
_ASCII = "".join(map(chr, range(33, 127)))
_DEVICE = re.compile(r"/dev/(v4l/.*|video.*|[^/]*(cam|video)[^/]*)", re.IGNORECASE)
"""Paths of cameras' devices that are not there: the kernel's, those of udev, and what people call them by rules."""
_V4L2_MAJOR_ID = 81
"""The number by which Linux knows the devices of V4L2, whatever they are called."""
_PLAIN_HOST = re.compile(r"^(\[[^]]*\]|[^:]*)(:\d*)?$")
_ASKED = re.compile(r"[?&;]\w[\w.-]*=")


def kind(address: str) -> Kind:
    """Tell which sort of source an address names.

    `demo`, a camera number or the path of a camera's device (`webcam`), a `network` address, a scheme that only another
    distribution can know (`plugin`), or a `file`.
    """
    address = inner(address)
    if address.lower() == "demo":
        return "demo"
    if (address.isascii() and address.isdigit()) or _is_camera_device(address):
        return "webcam"
    named = scheme(address)
    return "network" if named in _NETWORK else "file" if named in _FILE_SCHEMES else "plugin"


def _is_camera_device(path: str) -> bool:
    """Tell whether a path is that of a V4L2 device, whatever it is called; one that is missing goes by its folder."""
    if not path.startswith("/"):
        return False
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return _DEVICE.match(path) is not None
    return stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _V4L2_MAJOR_ID


def local_path(address: str) -> str:
    """Return the path that a file's address means: without file://, and with the user's home in the place of ~/."""
    match = _SCHEME.match(address)
    if match and match[1].lower() == "file":
        return unquote(re.sub(r"^localhost(?=/)", "", address[match.end() :]), errors="surrogateescape")
    return os.path.expanduser(address) if address.startswith("~/") else address


def scheme(address: str) -> str:
    """Return the part before ://, in lower case; empty for a plain path."""
    match = _SCHEME.match(inner(address))
    return match[1].lower() if match else ""


def inner(address: str) -> str:
    """Return the address of the source itself, without a `fault:` in front of it."""
    return _FAULTS.sub("", address)


def file_of(address: str) -> str:
    """Return the file or device on this machine that an address reads, without any `file:`; empty where it is none."""
    address = inner(address)
    if address.isdigit():
        return f"/dev/video{int(address)}"
    named = scheme(address)
    if address == "demo" or (named and named not in _FILE_SCHEMES):
        return ""
    return address.removeprefix("file:")


def login(address: str) -> tuple[str, str]:
    """Return user and password as they stand in an address; empty where it has none."""
    user, _, password = split_login(inner(address))[0].partition(":")
    return user, password


def connectable(address: str) -> str:
    """Return a network address as FFmpeg wants it.

    Its scheme is in small letters; letters are encoded that an address cannot hold, and those of its password that
    would end the host's name too early.
    """
    match = _SCHEME.match(address)
    if match is None:
        return address
    front, rest = match[0].lower(), address[match.end() :]
    host = authority(rest)
    if "@" in host or "@" not in rest or has_plain_host(host):
        return front + host + quote(rest[len(host) :], safe=_ASCII, errors="surrogateescape")
    given, _, tail = rest.rpartition("@")
    user, _, password = (quote(each, safe="%", errors="surrogateescape") for each in given.partition(":"))
    return f"{front}{user}:{password}@{tail}"


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
