"""The files of a recording: their names and their order, and which of them go when the disk fills up."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import OutputError, unwritable
from pipeline.files.disk import Disk
from pipeline.files.names import named
from pipeline.files.writing import WrittenFile
from pipeline.media.muxer import holds_pictures
from pipeline.outputs.paths import filled

BOXES = ".jsonl"
"""Ending of the file with the boxes, which otherwise is called like its video."""
_TIME = "%Y-%m-%dT%H-%M-%SZ"
_TIME_PATTERN = r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(?:-\d+)?"
_MAX_EMPTY_BYTES = 65_536
"""A file that is larger holds pictures for sure."""
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MAX_JOURNAL_BYTES = 4_000_000


def stamp(moment: datetime) -> str:
    """Return a moment as names of files carry it."""
    return moment.astimezone(UTC).strftime(_TIME)


class _Kept(NamedTuple):
    """A recording that may be deleted."""

    age: tuple[float, str]
    """Grows with the order in which recordings were made."""
    path: Path
    size: int
    """Bytes, with its boxes."""


class RecordingStore:
    """The recordings of some cameras on the disk; only files that it may have made itself are ever deleted.

    A hidden file for each camera keeps the order in which they were made, whatever the clock said, and tells other
    programs by its lock that this one is at it.
    """

    def __init__(
        self, template: str, cameras: tuple[str, ...], floor: int, taken: Callable[[Path], bool] = lambda path: False
    ) -> None:
        """Take a path with {camera} and {time}, how many bytes of the disk shall stay free, and what others need."""
        self._template = template
        self._cameras = cameras
        self._floor = floor
        self._taken = taken
        self._disk: Disk | None = None
        self._journals: dict[str, _Journal] = {}

    def open(self) -> None:
        """Make the folders and remove recordings that hold nothing; OutputError says what cannot be had."""
        try:
            for camera in self._cameras:
                self._reserve(camera)
        except BaseException:
            self.close()
            raise
        self._disk = Disk(named(self._template))
        total = self._usage().total
        if total < self._floor:
            self.close()
            raise OutputError(
                f"cannot write {self._template}: record.free keeps {self._floor / 1e6:.0f} MB of the disk free, "
                f"but all of it is {total / 1e6:.0f} MB; set record.free lower"
            )
        for recording in list(self._recordings()):
            # What a kill leaves before its first pictures are whole.
            if _blank(recording):
                _delete(recording)

    def close(self) -> None:
        """Let others record here; harmless when called twice."""
        while self._journals:
            self._journals.popitem()[1].close()

    def path(self, camera: str, moment: datetime) -> Path:
        """Return a name for a recording that starts at `moment`, taken by no other file yet."""
        began = stamp(moment)
        count, path = 1, self._named(camera, began)
        while os.path.lexists(path) or os.path.lexists(path.with_suffix(BOXES)):
            count += 1
            path = self._named(camera, f"{began}-{count}")
        return path

    def begin(self, camera: str, moment: datetime) -> WrittenFile:
        """Make the file of a recording that starts at `moment`; raises OutputError."""
        if self._disk is not None:
            self._disk.check()
        file = WrittenFile(self.path(camera, moment), new=True, shared=True)
        if camera in self._journals:
            latest = max(journal.latest for journal in self._journals.values())
            self._journals[camera].add(file.path, max(moment.timestamp(), latest + 1))
        return file

    def check(self, keep: Collection[Path]) -> None:
        """Delete the oldest recordings, but none to `keep`, until enough is free.

        Raises OutputError where that cannot be, and then deletes none: all of them would not be enough.
        """
        if self._disk is not None:
            self._disk.check()
        missing = self.missing
        if not missing:
            return
        deletable = sorted(each for each in self._sizes() if each.path not in keep and not self._taken(each.path))
        held = sum(each.size for each in deletable)
        if held < missing:
            advice = f", and its recordings hold {held / 1e6:.0f} MB; free some space, or set record.free lower"
            raise OutputError(
                f"cannot write {self._template}: less than {self._floor / 1e6:g} MB of the disk are free"
                f"{advice if held else '; free some space'}"
            )
        freed = 0
        for each in deletable:
            freed += each.size if _delete(each.path) else 0
            if not self.missing:
                return
            if freed >= 2 * missing:
                # Some disks tell of what is free only after a while, others never: not all may go for that.
                break

    @property
    def missing(self) -> int:
        """Bytes that should be free and are not."""
        return max(0, self._floor - self._usage().free)

    def _usage(self) -> shutil._ntuple_diskusage:
        try:
            return shutil.disk_usage(self._folder)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def _named(self, camera: str, time: str) -> Path:
        return filled(self._template.replace("{time}", time), camera)

    def _reserve(self, camera: str) -> None:
        """See that files of a camera can be written, by this program alone."""
        meant = filled(self._template, camera)
        probe = self.path(camera, datetime.fromtimestamp(0, UTC))
        try:
            WrittenFile(probe, new=True).discard()
            hidden = "-".join(meant.relative_to(self._folder).parts)
            self._journals[camera] = _Journal(self._folder / f".{hidden}.order", self._folder)
        except OutputError as error:
            text = str(error).replace(str(probe), str(meant))
            at = text.find(": ")
            raise OutputError(f"cannot write {meant}{text[at:]}") from error

    @property
    def _folder(self) -> Path:
        """The part of the path that is the same for all recordings; made again where somebody deleted it."""
        fixed = list(named(self._template).parts[:-1])
        varying = next((at for at, part in enumerate(fixed) if "{" in part), len(fixed))
        folder = Path(*fixed[:varying])
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        return folder

    def _sizes(self) -> Iterator[_Kept]:
        order = {path: moment for journal in self._journals.values() for path, moment in journal.order.items()}
        for path in self._recordings():
            with suppress(OSError):
                size = path.stat().st_size
                boxes = path.with_suffix(BOXES)
                size += boxes.stat().st_size if boxes.exists() else 0
                yield _Kept((order.get(path) or _named_time(path), str(path)), path, size)

    def _recordings(self) -> Iterator[Path]:
        """Yield all files whose names are those of recordings of these cameras."""
        folder = self._folder
        cameras = "|".join(map(re.escape, self._cameras))
        patterns = map(re.escape, named(self._template).relative_to(folder).parts)
        shapes = [
            re.compile(part.replace(r"\{time\}", _TIME_PATTERN).replace(r"\{camera\}", f"(?:{cameras})"))
            for part in patterns
        ]
        return _matching(folder, shapes)


class _Journal:
    """The recordings of one camera in the order in which they were made: a line for each, its moment and its name."""

    def __init__(self, path: Path, folder: Path) -> None:
        """Read and hold the hidden file `path`, in which names are those below `folder`; raises OutputError."""
        self.order: dict[Path, float] = {}
        """When each began, in seconds since 1970 that never go back from one to the next."""
        self._folder = folder
        self._file = WrittenFile(path, append=True)
        try:
            lines = self._file.end(_MAX_JOURNAL_BYTES).splitlines()
        except OSError as error:
            self.close()
            raise unwritable(path, error) from error
        for line in lines:
            moment, _, name = os.fsdecode(line).partition(" ")
            with suppress(ValueError):
                if os.path.lexists(folder / name):
                    self.order[folder / name] = float(moment)
        if len(lines) > 2 * len(self.order):
            with suppress(OSError):
                self._file.clear()
                self._file.write(b"".join(map(self._line, self.order)))

    @property
    def latest(self) -> float:
        """The moment of the newest recording; 0 where there is none."""
        return max(self.order.values(), default=0.0)

    def add(self, path: Path, moment: float) -> None:
        """Add a recording; where the disk takes no line, its order is known to this run alone."""
        self.order[path] = moment
        with suppress(OSError, ValueError):
            self._file.write(self._line(path))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _line(self, path: Path) -> bytes:
        return f"{self.order[path]:.0f} ".encode() + os.fsencode(path.relative_to(self._folder)) + b"\n"


def _matching(folder: Path, shapes: list[re.Pattern[str]]) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(folder) as entries:
        for entry in entries:
            if not shapes[0].fullmatch(entry.name):
                continue
            if len(shapes) > 1 and entry.is_dir():
                yield from _matching(Path(entry.path), shapes[1:])
            elif len(shapes) == 1 and entry.is_file():
                yield Path(entry.path)


def _named_time(path: Path) -> float:
    """Return the time in a name, in seconds since 1970."""
    match = re.search(_TIME_PATTERN, str(path))
    with suppress(ValueError):
        if match is not None:
            return datetime.strptime(match[0][:20], _TIME).replace(tzinfo=UTC).timestamp()
    return 0.0


def _blank(recording: Path) -> bool:
    """Tell whether a recording was begun and holds nothing."""
    with suppress(OSError):
        size = recording.stat().st_size
        if size <= _MAX_EMPTY_BYTES:
            begun = recording.read_bytes()[:8]
            return not begun or ((begun[4:] == b"ftyp" or begun[:4] == _MATROSKA) and not holds_pictures(recording))
    return False


def _delete(recording: Path) -> bool:
    """Delete a recording and its boxes; return whether it is gone."""
    for each in (recording.with_suffix(BOXES), recording):
        with suppress(OSError):
            each.unlink()
    return not recording.exists()
