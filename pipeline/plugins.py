"""Parts that other distributions add to Lookout, found by the name of an entry point and loaded only when asked for."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

SOURCES = "lookout.sources"
"""Entry point group of source classes; the name of an entry point is the scheme of the addresses it reads."""
OUTPUTS = "lookout.outputs"
"""Entry point group of output classes; the name of an entry point is the word under `outputs:`."""
DECODERS = "lookout.decoders"
"""Entry point group of decoder classes; the name of an entry point is free."""


class PluginError(Exception):
    """Raised when another distribution's part cannot be used; the message is one line that names it."""


def names(group: str) -> list[str]:
    """Return the names in a group, sorted."""
    return sorted({each.name for each in entry_points(group=group)})


def load(group: str, name: str, needs: tuple[str, ...]) -> Any:
    """Import the part of that name, or return None where no distribution has it.

    Raises PluginError where importing fails, or where the part lacks one of the attributes that it `needs`.
    """
    for entry in entry_points(group=group, name=name):
        try:
            part = entry.load()
        except (Exception, SystemExit) as error:
            raise PluginError(f"{_title(entry)} cannot be loaded: {_one_line(error)}") from error
        for attribute in needs:
            if not hasattr(part, attribute):
                raise PluginError(f"{_title(entry)} cannot be used: it has no {attribute}")
        return part
    return None


def _title(entry: EntryPoint) -> str:
    owner = f" of {entry.dist.name}" if entry.dist is not None else ""
    return f"the plug-in {entry.value}{owner}"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
