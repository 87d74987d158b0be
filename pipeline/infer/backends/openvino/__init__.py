"""OpenVINO: its devices, its models, and requests that run on it."""

from __future__ import annotations

import os
from pathlib import Path


def _import_without_home() -> None:
    """Import OpenVINO as a user who has no home, as in many a container: it looks for one, and fails."""
    os.environ["HOME"] = os.devnull
    try:
        import openvino  # noqa: F401
    finally:
        del os.environ["HOME"]


try:
    Path.home()
except RuntimeError:
    _import_without_home()
