"""The command line: `main` is what `lookout`, `run.py` and `python -m pipeline` call."""

from __future__ import annotations

import atexit
import os
import signal
import sys

from pipeline.concurrency.signals import Interrupt
from pipeline.concurrency.threads import alive

from .streams import open_standard_streams

COMMANDS = ("run", "check", "doctor", "devices", "models", "play", "schema", "token", "version")
_ANSWERS = frozenset(COMMANDS) - {"run", "play"}
"""Those that answer a question, which a signal leaves unanswered."""

_code = 0


def main() -> int:
    """Run the program with the arguments that it was started with; returns the exit code.

    Signals and standard streams are taken care of before anything slow is imported.
    """
    global _code
    open_standard_streams()
    with Interrupt(code=_code_of):
        atexit.register(_leave)
        from .app import main as run

        _code = run(sys.argv[1:])
    return _code


def _code_of(number: int) -> int:
    """Return the exit code of a program that a signal ends before there is anything to end in order."""
    asks = sys.argv[1:2] and sys.argv[1] in _ANSWERS
    return 128 + number if asks or number == signal.SIGINT else 0


def _leave() -> None:
    """End the process at once if a thread of ours is still busy in foreign code.

    Python would tear it down there, which C++ takes for a fatal error.
    """
    if alive():
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(_code)
