"""The files of a recording: their names, and which of them go when the disk fills up."""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import OutputError, unwritable
from pipeline.outputs.paths import filled, make_room

BOXES = ".jsonl"
"""Ending of the file with the boxes, which otherwise is called like its video."""
_TIME = "%Y-%m-%dT%H-%M-%SZ"
_TIME_PATTERN = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-\d+)?"


def stamp(moment: datetime) -> str:
    """Return a moment as names of files carry it."""
    return moment.astimezone(UTC).strftime(_TIME)


class RecordingStore:
    """The recordings of some cameras on the disk; only files that it may have made itself are ever deleted."""

    def __init__(self, template: str, cameras: tuple[str, ...], floor: int) -> None:
        """Take a path with {camera} and {time}, and how many bytes of the disk shall stay free."""
        self._template = template
        self._cameras = cameras
        self._floor = floor
        self._mount: Path | None = None

    def open(self) -> None:
        """Make the folders; raises OutputError."""
        for camera in self._cameras:
            path = self.path(camera, datetime.fromtimestamp(0, UTC))
            try:
                make_room(path)
            except OutputError as error:
                named = filled(self._template, camera).name
                raise OutputError(str(error).replace(path.name, named)) from error
            path.unlink()
            self._mount = self._mount or next(each for each in path.absolute().parents if each.is_mount())

    def path(self, camera: str, moment: datetime) -> Path:
        """Return a name for a recording that starts at `moment`, taken by no other file yet."""
        began = stamp(moment)
        plain = filled(self._template.replace("{time}", began), camera)
        count, path = 1, plain
        while path.exists():
            count += 1
            path = plain.with_name(filled(self._template.replace("{time}", f"{began}-{count}"), camera).name)
        return path

    def check(self, keep: Collection[Path]) -> None:
        """Delete the oldest recordings, but none to `keep`, until enough is free; OutputError where that cannot be."""
        if self._mount is not None and not self._mount.is_mount():
            raise OutputError(f"cannot write {self._template}: the disk is gone; connect it again")
        if not self.missing:
            return
        for path in sorted(self._recordings(), key=self._age):
            if path not in keep:
                for each in (path.with_suffix(BOXES), path):
                    with suppress(OSError):
                        each.unlink()
                if not self.missing:
                    return
        raise OutputError(
            f"cannot write {self._template}: less than {self._floor / 1e6:g} MB of the disk are free; free some space"
        )

    @property
    def missing(self) -> int:
        """Bytes that should be free and are not."""
        try:
            return max(0, self._floor - shutil.disk_usage(self._folder).free)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    @property
    def _folder(self) -> Path:
        """The part of the path that is the same for all recordings; made again where somebody deleted it."""
        fixed = [part for part in Path(self._template).expanduser().parts[:-1]]
        varying = next((at for at, part in enumerate(fixed) if "{" in part), len(fixed))
        folder = Path(*fixed[:varying])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _recordings(self) -> Iterator[Path]:
        name = Path(self._template).expanduser()
        pattern = re.escape(str(name)).replace(r"\{time\}", _TIME_PATTERN)
        any_camera = "|".join(map(re.escape, self._cameras))
        shape = re.compile(pattern.replace(r"\{camera\}", f"(?:{any_camera})"))
        folder = self._folder
        below = str(name.relative_to(folder)).replace("{camera}", "*").replace("{time}", "*")
        for path in folder.glob(below):
            if shape.fullmatch(str(path)):
                yield path

    def _age(self, path: Path) -> tuple[str, str]:
        match = re.search(_TIME_PATTERN, str(path))
        return match[0] if match else "", str(path)
