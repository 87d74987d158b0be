"""The standard streams of the program: there whatever it was started with, and able to take every letter."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import IO

_NAMES = ("stdin", "stdout", "stderr")


def open_standard_streams() -> None:
    """Put the null device where a standard stream is closed, and let the others write what they cannot encode as \\x..

    To be called before anything opens a file, which would else get the number of a closed stream, and with it all that
    libraries have to complain.
    """
    for number, name in enumerate(_NAMES):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free is this one, for those below are open by now.
            os.open(os.devnull, os.O_RDWR)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            stream.reconfigure(errors="backslashreplace")


def silence(stream: IO[str]) -> None:
    """Send what a stream still holds, and all that follows, to the null device: nobody can read it any more."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
