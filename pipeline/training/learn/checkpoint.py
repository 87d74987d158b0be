"""Files to go on from after a kill: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from pipeline.training.errors import TrainingError
from pipeline.training.model.weights import read_state

FORMAT = 1


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Replace the file at a path in one move, so that a kill at any moment leaves the old file or the new one."""
    temporary = path.with_suffix(".partial")
    with temporary.open("wb") as file:
        torch.save({"format": FORMAT, **content}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What save_checkpoint wrote; raises TrainingError for any other file."""
    content: dict[str, Any] = read_state(path)
    if content.get("format") != FORMAT:
        raise TrainingError(f"{path}: not a checkpoint of lookout-train")
    return content
