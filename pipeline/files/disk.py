"""The disk that a file lies on, which may be taken away, and so may its folders."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import OutputError


class Disk:
    """The disk on which a path lies while this is made."""

    def __init__(self, path: Path) -> None:
        """Take a path, of which the last parts need not be there yet."""
        self._path = path
        self._mount = next(each for each in path.absolute().parents if each.is_mount())

    def check(self) -> None:
        """Raise OutputError where it is gone, so that nothing goes to the disk below instead."""
        if not self._mount.is_mount():
            raise OutputError(f"cannot write {self._path}: the disk is gone; connect it again")
