"""The folder of compiled models, each with a seal: OpenVINO runs a damaged one and finds wrong boxes."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from pipeline.notice import notify

log = logging.getLogger(__name__)


def ready(folder: Path) -> bool:
    """Make the folder and throw out what is damaged; False, after one notice, if it cannot be used."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for blob in folder.glob("*.blob"):
            seal = _seal(blob)
            if not seal.exists():
                blob.unlink(missing_ok=True)
            elif seal.read_text() != _digest(blob):
                notify(log, f"infer.cache: {blob} is damaged; compiling afresh")
                blob.unlink(missing_ok=True)
                seal.unlink(missing_ok=True)
    except OSError as error:
        notify(log, f"infer.cache: {folder} cannot be used ({error.strerror or error}); going on without it")
        return False
    return True


def seal(folder: Path) -> None:
    """Note the SHA-384 of each compiled model that has none yet."""
    try:
        for blob in folder.glob("*.blob"):
            if not _seal(blob).exists():
                with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as file:
                    file.write(_digest(blob))
                os.replace(file.name, _seal(blob))
    except OSError as error:
        notify(log, f"infer.cache: {folder} cannot be used ({error.strerror or error}); the next start compiles again")


def _seal(blob: Path) -> Path:
    return blob.with_suffix(".sha384")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha384").hexdigest()
