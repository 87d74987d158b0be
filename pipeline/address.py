"""What a source's address means, and how it may be shown: never with its secrets."""

from __future__ import annotations

import base64
import re
from typing import Literal
from urllib.parse import quote, unquote

Kind = Literal["demo", "webcam", "network", "file"]

_SCHEME = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]+)://")
_NETWORK = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt"})
_MASK = "***"
_secrets: set[str] = set()


def kind(address: str) -> Kind:
    """Which sort of source an address names: `demo`, a camera number or /dev/video*, a network address, or a file."""
    if address == "demo":
        return "demo"
    if address.isdigit() or address.startswith(("/dev/video", "/dev/v4l/")):
        return "webcam"
    return "network" if scheme(address) in _NETWORK else "file"


def scheme(address: str) -> str:
    """The part before ://, in lower case; empty for a plain path."""
    found = _SCHEME.match(address)
    return found[1].lower() if found else ""


def redacted(address: str) -> str:
    """The address without user, password and query: what terminals, logs, pages and files may carry.

    Everything up to the last @ goes, because a password may itself hold / : # or @.
    """
    found = _SCHEME.match(address)
    if not found:
        return address
    rest = address[found.end() :]
    if "@" in rest:
        rest = f"{_MASK}@{rest.rpartition('@')[2]}"
    rest, question, _ = rest.partition("?")
    return f"{found[0]}{rest}{'?' + _MASK if question else ''}"


def remember(address: str) -> None:
    """Note the secrets of an address, in every spelling, so that `scrub` can take them out of foreign text."""
    found = _SCHEME.match(address)
    if not found:
        return
    rest = address[found.end() :]
    login, at, tail = rest.rpartition("@")
    query = (tail if at else rest).partition("?")[2]
    if at:
        _, colon, password = login.partition(":")
        words = [login, *([password] if colon else [])]
        _secrets.update(spelling for word in words for spelling in _spellings(word))
    if query:
        _secrets.add(query)
        for part in query.split("&"):
            _, equals, value = part.partition("=")
            if equals and len(value) > 3:
                _secrets.update(_spellings(value))


def scrub(text: str) -> str:
    """The text with every remembered secret, and every login inside an address, masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return re.sub(r"(://)[^\s/'\"]*@", rf"\1{_MASK}@", text)


def _spellings(secret: str) -> set[str]:
    plain = unquote(secret)
    spellings = {secret, plain, quote(plain, safe=""), quote(plain), base64.b64encode(plain.encode()).decode()}
    return {each for each in spellings if each}
