"""Which files a run learnt from, by their hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(target: Path, files: Iterable[tuple[str, Path]]) -> str:
    """Write `hash  name` for every file, sorted by name, as sha256sum does; returns the hash of the list itself."""
    lines = sorted(f"{sha256(path)}  {name}" for name, path in files)
    lines.sort(key=lambda line: line.split("  ", 1)[1])
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sha256(target)
