"""The names of files: as a person writes them, as FFmpeg takes them, and which of them mean the same file."""

from __future__ import annotations

import os
import unicodedata
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import OutputError

_PROTOCOL = "file:"
_MAX_ENTRY_COUNT = 64


def named(text: str | os.PathLike[str]) -> Path:
    """Return the path that a person means: `file:` in front is left out, and ~ is a home where there is one.

    Raises OutputError where a home is asked for and none is known.
    """
    written = os.fspath(text).removeprefix(_PROTOCOL)
    full = os.path.expanduser(written)
    if full == written and (written == "~" or written.startswith(("~/", f"~{os.sep}"))):
        raise OutputError(f"cannot write {written}: no home folder is known; write the whole path")
    return Path(full)


def for_ffmpeg(path: str | os.PathLike[str]) -> str:
    """Return the name of a file as FFmpeg takes it, which would read a colon as the end of a protocol's name."""
    return f"{_PROTOCOL}{os.fspath(path)}"


class FileIdentity(NamedTuple):
    """What tells one file from all others, whatever it is called; equal for two names of one file."""

    device: int
    inode: int
    below: str = ""
    """Where the file is not there yet: its name below the folder that the numbers are of."""


def identity(path: str | os.PathLike[str]) -> FileIdentity:
    """Return the identity of a file, through all links; of one that is not there yet, by its folder and its name."""
    missing: list[str] = []
    try:
        real = os.path.realpath(path)
    except (OSError, ValueError):
        return FileIdentity(0, 0, os.fspath(path))
    while True:
        try:
            found = os.stat(real)
        except (OSError, ValueError):
            folder, name = os.path.split(real)
            if folder == real:
                return FileIdentity(0, 0, os.fspath(path))
            missing.append(name)
            real = folder
        else:
            below = "/".join(reversed(missing))
            if below and _folds_case(real):
                below = unicodedata.normalize("NFC", below.casefold())
            return FileIdentity(found.st_dev, found.st_ino, below)


def _folds_case(folder: str) -> bool:
    """Tell whether a folder takes capitals for small letters, by what is in it or else by its own name."""
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each in islice(entries, _MAX_ENTRY_COUNT)]
    except OSError:
        names = []
    probes = [os.path.join(folder, each) for each in names]
    for probe in (*probes, folder.rstrip(os.sep)):
        head, name = os.path.split(probe)
        if name.swapcase() != name:
            try:
                return os.path.samefile(probe, os.path.join(head, name.swapcase()))
            except (OSError, ValueError):
                return False
    return False
