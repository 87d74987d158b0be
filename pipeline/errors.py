"""Every way Lookout can fail, and the exit code each one ends the program with.

    PipelineError                  1
    ├── ConfigError(ValueError)    2   file:line:column: key: rule, got value
    ├── SourceError(OSError)       3   a camera or file cannot be opened or read
    ├── ModelError                 4   a model file is missing, damaged or of another kind
    ├── DeviceError(RuntimeError)  4   the accelerator asked for is absent or fails
    ├── OutputError(OSError)       5   a window, port or file cannot be written
    └── StageStuckError            1   a thread did not end within the deadline

A message is one line for a person: what is wrong, where, and what to do about it.
"""

from __future__ import annotations


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


class StageStuckError(PipelineError, RuntimeError):
    """A stage did not end within the shutdown deadline; the message names it."""
