"""Frames of video files as unlabelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2

from pipeline.training.errors import TrainingError

SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm", ".ts"}


def extract_frames(folders: Sequence[Path], target: Path, every: int = 10) -> int:
    """Write every n-th frame of every clip in folders to a folder, as JPEG of quality 95; returns how many there are.

    Frames that are already there stay as they are. Raises TrainingError where a clip cannot be read.
    """
    total = 0
    for clip in sorted(path for folder in folders for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
        target.mkdir(parents=True, exist_ok=True)
        capture = cv2.VideoCapture(str(clip))
        number = 0
        while capture.grab():
            if number % every == 0:
                path = target / f"{clip.stem}-{number:06d}.jpg"
                if not path.exists():
                    _, image = capture.retrieve()
                    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
                total += 1
            number += 1
        capture.release()
        if number == 0:
            raise TrainingError(f"{clip}: not a readable video")
    return total
