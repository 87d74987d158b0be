"""The files that a run reads and writes, and those among them that no output may take from another."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipeline.address.parse import file_of
from pipeline.errors import ConfigError, OutputError
from pipeline.files.names import FileIdentity, identity, named
from pipeline.redaction import redacted

if TYPE_CHECKING:
    from .root import Config

_NUMBER = re.compile(r"%(?:0?\d+)?d")
_MAX_ROW_COUNT = 10_000
"""Pictures of a row that are looked at."""


class FileClaim(NamedTuple):
    """One file that somebody needs."""

    identity: FileIdentity
    key: tuple[str, ...]
    """The key of the configuration that names it; empty for the configuration itself."""
    owner: str
    """What it is, in words, such as `the source of camera door`."""
    name: str
    """As it is written."""
    written: bool = False
    """Whether it is an output."""


class FileConflict(NamedTuple):
    """An output that would damage what somebody else needs."""

    key: tuple[str, ...]
    rule: str


class FileClaims:
    """All files that a configuration names, by their identities."""

    def __init__(self, config: Config | None = None) -> None:
        """Take a configuration, or none that names any."""
        self._read = [] if config is None else list(_read(config))
        self._written: list[FileClaim] = []
        self.conflicts: list[FileConflict] = []
        """What is wrong among them, in the order of the configuration."""
        for key, name in () if config is None else _written(config):
            try:
                claim = FileClaim(identity(named(name)), key, f"the file of {'.'.join(key)}", name, written=True)
            except OutputError as error:
                self.conflicts.append(FileConflict(key, str(error)))
                continue
            if (owner := self._owner(claim)) is not None:
                rule = f"must be another file than {owner}, got '{redacted(claim.name)}'"
                self.conflicts.append(FileConflict(claim.key, rule))
            self._written.append(claim)

    def check(self) -> None:
        """Raise ConfigError, with a line for each conflict, where there is any."""
        if self.conflicts:
            raise ConfigError("\n".join(f"{'.'.join(key)}: {rule}" for key, rule in self.conflicts))

    def check_free(self, path: Path) -> None:
        """Raise OutputError where a file that is to be written now belongs to something else."""
        claim = FileClaim(identity(path), (), "", str(path), written=True)
        if (owner := self._owner(claim)) is not None:
            raise OutputError(f"cannot write {redacted(str(path))}: it is {owner}; choose another file")

    def taken(self, path: Path) -> bool:
        """Tell whether somebody needs a file, so that it must not be deleted."""
        found = identity(path)
        return any(each.identity == found for each in (*self._read, *self._written))

    def _owner(self, claim: FileClaim) -> str | None:
        for each in self._read:
            if each.identity == claim.identity:
                return each.owner
        if _swallows(claim.name):
            return None
        for each in self._written:
            if each.identity == claim.identity and (each.key, each.name) != (claim.key, claim.name):
                return each.owner
        return None


def _read(config: Config) -> Iterator[FileClaim]:
    if config.file is not None:
        yield FileClaim(identity(config.file), (), "the configuration", config.file)
    for name, camera in config.cameras.items():
        key, source = ("cameras", name, "source"), f"the source of camera {name}"
        for path in _files(camera.source):
            yield FileClaim(identity(path), key, source, path)
            boxes = f"{os.path.splitext(path)[0]}.jsonl"
            if os.path.isfile(boxes):
                yield FileClaim(identity(boxes), key, f"the boxes beside {source}", boxes)
    for path in _model_files(config):
        yield FileClaim(identity(path), ("model", "name"), "a file of the model", path)
    for number, output in enumerate(config.outputs or ()):
        for part, path in output.settings.files_read.items():
            place = ("outputs", str(number), output.kind, part)
            yield FileClaim(identity(named(path)), place, f"the file of {'.'.join(place)}", path)


def _written(config: Config) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the files that are written, once each for an output: its key and its name."""
    for number, output in enumerate(config.outputs or ()):
        for part, template in output.settings.files_written.items():
            names = [template.replace("{camera}", camera) for camera in config.cameras]
            for name in dict.fromkeys(names):
                yield ("outputs", str(number), output.kind, part), name


def _files(source: str) -> Iterator[str]:
    """Yield the files of a source: one, or a row of pictures."""
    path = file_of(source)
    if not path:
        return
    if os.path.exists(source):
        path = source
    if os.path.exists(path) or not _NUMBER.search(os.path.basename(path)):
        yield path
        return
    folder, pattern = os.path.split(path)
    shape = re.compile(r"\d+".join(map(re.escape, _NUMBER.split(pattern))))
    try:
        with os.scandir(folder or ".") as entries:
            names = [each.name for each, _ in zip(entries, range(_MAX_ROW_COUNT), strict=False)]
    except OSError:
        return
    yield from (os.path.join(folder, name) for name in names if shape.fullmatch(name))


def _model_files(config: Config) -> Iterator[str]:
    name = os.path.expanduser(config.model.name)
    if name.lower().endswith((".xml", ".onnx")):
        yield name
        yield f"{os.path.splitext(name)[0]}.bin"
        return
    for root in (config.model.folder, os.environ.get("LOOKOUT_MODELS")):
        if root:
            folder = Path(os.path.expanduser(root))
            yield from (str(each) for each in folder.glob("*/*/*") if each.suffix in (".xml", ".bin", ".onnx"))


def _swallows(name: str) -> bool:
    """Tell whether a name is of a device such as /dev/null, which several may write to."""
    try:
        return stat.S_ISCHR(os.stat(named(name)).st_mode)
    except (OSError, ValueError):
        return False
