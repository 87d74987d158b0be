"""Every way Lookout can fail, and the exit code each one ends the program with.

    PipelineError                  1
    ├── ConfigError(ValueError)    2   file:line:column: key: rule, got value
    ├── SourceError(OSError)       3   a camera or file cannot be opened or read
    ├── ModelError                 4   a model file is missing, damaged or of another kind
    ├── DeviceError(RuntimeError)  4   the accelerator asked for is absent or fails
    ├── OutputError(OSError)       5   a window, port or file cannot be written
    │   └── OutputGoneError        5   whoever read it has gone for good
    └── StageStuckError            1   a thread did not end within the deadline
    TrainingError                  2   lookout-train alone: its input cannot be used

A message is one line for a person: what is wrong, where, and what to do about it.
"""

from __future__ import annotations

import errno
from pathlib import Path

_ADVICE = {
    "ENOSPC": "the disk is full; free some space or choose another place",
    "EDQUOT": "the disk quota is used up; free some space or choose another place",
    "EFBIG": "the file has reached the size limit; choose another place",
    "EROFS": "the disk is read-only; choose another place",
    "EACCES": "permission denied; choose another place",
    "EPERM": "permission denied; choose another place",
    "EISDIR": "it is a folder; name a file",
    "ENOTDIR": "part of it is not a folder; choose another place",
    "EEXIST": "part of it is not a folder; choose another place",
    "ENAMETOOLONG": "the name is too long; choose a shorter one",
    "EPIPE": "its reader has gone",
}


class PipelineError(Exception):
    """Base of everything raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class ConfigError(PipelineError, ValueError):
    """The configuration cannot be used as written; one line for each problem."""

    exit_code = 2


class SourceError(PipelineError, OSError):
    """A camera or file cannot be opened or read.

    `reason` is one of the words shown as a camera's state: refused, timed out, unauthorized,
    not found, unreachable, unsupported, unplugged, busy, ended, unreadable.
    """

    exit_code = 3

    def __init__(self, message: str, reason: str = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason


class ModelError(PipelineError):
    """A model file is missing, damaged, or does not fit the expected inputs and outputs."""

    exit_code = 4


class DeviceError(PipelineError, RuntimeError):
    """The accelerator asked for is not there, or failed while working."""

    exit_code = 4


class OutputError(PipelineError, OSError):
    """A window, a port or a file cannot be written."""

    exit_code = 5


class OutputGoneError(OutputError):
    """Nobody will take anything any more, so that no new try is of use."""


class StageStuckError(PipelineError, RuntimeError):
    """A stage did not end within the shutdown deadline; the message names it."""


def unwritable(where: Path | str, error: Exception) -> OutputError:
    """The one line for a place that cannot be written."""
    code = errno.errorcode.get(getattr(error, "errno", None) or 0, "")
    reason = _ADVICE.get(code) or getattr(error, "strerror", None) or " ".join(str(error).split())
    return OutputError(f"cannot write {where}: {reason}")


class TrainingError(Exception):
    """Input that training cannot use; the message is one complete line."""
