"""The offer of a webcam, asked of Linux: its name, and every format with size and pace."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

_CAPABILITIES = 0x80685600
_FORMATS = 0xC0405602
_SIZES = 0xC02C564A
_INTERVALS = 0xC034564B
_CAPTURE = 1
_DISCRETE = 1
_MAX_MODE_COUNT = 64

Ask = Callable[[int, bytes], bytes | None]


class Mode(NamedTuple):
    """One way in which a webcam can send its pictures."""

    fourcc: str
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fps: float
    """Most frames a second at this size; 0 where the camera does not say."""


def offered(path: str) -> tuple[str, tuple[Mode, ...]]:
    """Return the name of the webcam at a path and all its modes; nothing where the system does not tell."""
    if not sys.platform.startswith("linux"):
        return "", ()
    import fcntl

    try:
        device = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return "", ()

    def ask(request: int, question: bytes) -> bytes | None:
        try:
            return fcntl.ioctl(device, request, question)
        except OSError:
            return None

    try:
        answer = ask(_CAPABILITIES, bytes(104))
        name = _text(answer[16:48]) if answer else ""
        return name, tuple(mode for fourcc in _formats(ask) for mode in _modes(ask, fourcc))
    finally:
        os.close(device)


def _formats(ask: Ask) -> Iterator[int]:
    for index in range(_MAX_MODE_COUNT):
        answer = ask(_FORMATS, struct.pack("=II56x", index, _CAPTURE))
        if answer is None:
            return
        yield struct.unpack_from("=I", answer, 44)[0]


def _modes(ask: Ask, fourcc: int) -> Iterator[Mode]:
    letters = _text(struct.pack("<I", fourcc))
    for index in range(_MAX_MODE_COUNT):
        answer = ask(_SIZES, struct.pack("=II36x", index, fourcc))
        if answer is None:
            return
        kind, width, height, *_ = struct.unpack_from("=8xIII", answer)
        if kind != _DISCRETE:
            _, width, _, _, height = struct.unpack_from("=12xIIIII", answer)
        yield Mode(letters, width, height, _fastest(ask, fourcc, width, height))
        if kind != _DISCRETE:
            return


def _fastest(ask: Ask, fourcc: int, width: int, height: int) -> float:
    paces = [0.0]
    for index in range(_MAX_MODE_COUNT):
        answer = ask(_INTERVALS, struct.pack("=IIII36x", index, fourcc, width, height))
        if answer is None:
            break
        kind, seconds, parts = struct.unpack_from("=16xIII", answer)
        paces.append(parts / seconds if seconds else 0.0)
        if kind != _DISCRETE:
            break
    return max(paces)


def _text(raw: bytes) -> str:
    return "".join(letter for letter in raw.split(b"\0")[0].decode("ascii", "replace") if letter.isprintable()).strip()
