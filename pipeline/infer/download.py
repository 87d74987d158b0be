"""Fetching files whose size and SHA-384 are known beforehand, in bounded time."""

from __future__ import annotations

import hashlib
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from ..errors import ModelError
from ..worker import Crew

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class File:
    """One file as its maker published it."""

    name: str
    size: int
    """Bytes."""
    sha384: str
    """Hexadecimal."""
    url: str
    """Official address; empty for a file that comes with the package."""

    def fault(self, folder: Path) -> str:
        """What is wrong with the file of this name in a folder, in one line; empty if it is this very file."""
        path = folder / self.name
        remedy = f"put the official file there: {self.url}" if self.url else "install Lookout again"
        try:
            size = path.stat().st_size
            if size != self.size:
                return f"{path}: damaged: expected {self.size} bytes, found {size}; {remedy}"
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha384").hexdigest()
        except FileNotFoundError:
            return f"{path}: missing: expected {self.size} bytes; {remedy}"
        except OSError as error:
            return f"{path}: cannot be read: {error.strerror or error}"
        if found != self.sha384:
            return f"{path}: damaged: expected SHA-384 {self.sha384[:16]}..., found {found[:16]}...; {remedy}"
        return ""


class Patience(NamedTuple):
    """Seconds to wait for a connection, for data on it, and for all files together."""

    connect: float
    read: float
    whole: float


def fetch(files: tuple[File, ...], folder: Path, patience: Patience) -> None:
    """Put the files into the folder, each whole or not at all; several processes may do so at once.

    A file that is there and good is kept. Raises ModelError naming the server and the reason.
    """
    crew = Crew(stop_first=lambda: None)
    crew.start("fetch-model", lambda: _fetch_all(files, folder, patience, crew.stopping))
    late = crew.join(patience.whole)
    crew.stop()
    server = urlsplit(files[0].url).hostname
    if late:
        raise ModelError(f"{server} did not deliver within {patience.whole:g} s")
    if crew.error is not None:
        raise ModelError(_reason(crew.error, server or "", folder, patience)) from crew.error


def _fetch_all(files: tuple[File, ...], folder: Path, patience: Patience, stopping: threading.Event) -> None:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    for file in files:
        progress = _Progress(file, stopping)
        timeout = (patience.connect, patience.read)
        downloader = pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, timeout=timeout)
        try:
            pooch.retrieve(file.url, f"sha384:{file.sha384}", fname=file.name, path=folder, downloader=downloader)
        finally:
            progress.close()


class _Progress:
    """A bar on a terminal; anywhere else only the brake: too many bytes or nobody waiting ends the download."""

    def __init__(self, file: File, stopping: threading.Event) -> None:
        self.total = file.size
        self._file = file
        self._stopping = stopping
        self._received = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def update(self, size: int) -> None:
        self._received += size
        if self._stopping.is_set():
            raise ValueError("nobody waits for this download any more")
        if self._received > self._file.size + _CHUNK:
            raise ValueError("more bytes than the official file has")
        if self._bar is None and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                console=Console(stderr=True),
                auto_refresh=False,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._file.name, total=self._file.size)
        if self._bar is not None:
            self._bar.update(self._task, completed=min(self._received, self._file.size), refresh=True)

    def reset(self) -> None:
        self._received = 0

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def _reason(error: BaseException, server: str, folder: Path, patience: Patience) -> str:
    from requests import exceptions

    if isinstance(error, exceptions.ConnectTimeout):
        return f"{server} gave no answer within {patience.connect:g} s"
    if isinstance(error, exceptions.ProxyError):
        return f"the proxy on the way to {server} cannot be reached"
    if isinstance(error, exceptions.SSLError):
        return f"the certificate of {server} is not trusted"
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"{server} answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout) or "Read timed out" in str(error):
        return f"{server} fell silent for {patience.read:g} s"
    if isinstance(error, exceptions.ChunkedEncodingError):
        return f"{server} broke off the connection"
    if isinstance(error, exceptions.ConnectionError):
        nameless = "NameResolution" in str(error)
        return f"the name {server} cannot be resolved" if nameless else f"no connection to {server}"
    if isinstance(error, ValueError):
        return f"{server} sent another file than the official one"
    if isinstance(error, OSError):
        return f"{folder} cannot be written: {error.strerror or error}"
    return f"{server}: {error}"
