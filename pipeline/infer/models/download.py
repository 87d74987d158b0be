"""The download of files whose size and SHA-384 are known beforehand, in bounded time."""

from __future__ import annotations

import hashlib
import sys
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pipeline.clock import PROCESS
from pipeline.concurrency.threads import ThreadGroup
from pipeline.errors import ModelError

_CHUNK_BYTES = 1 << 16
_WAIT_S = 0.1


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
        """Say what is wrong with the file of this name in a folder, in one line; empty if it is this very file."""
        path = folder / self.name
        remedy = f"put the official file there: {self.url}" if self.url else "install Lookout again"
        try:
            size = path.stat().st_size
            if size != self.size:
                return f"{path}: damaged: expected {self.size} bytes, found {size}; {remedy}"
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha384").hexdigest()
        except FileNotFoundError:
            return f"{path}: missing: expected {self.size} bytes; {remedy}"
        except OSError as error:
            return f"{path}: cannot be read: {error.strerror or error}"
        if digest != self.sha384:
            return f"{path}: damaged: expected SHA-384 {self.sha384[:16]}..., found {digest[:16]}...; {remedy}"
        return ""


class TimeLimits(NamedTuple):
    """Seconds to wait for a connection, for data on it, and for all files together, and what ends all waiting."""

    connect: float
    read: float
    whole: float
    stopping: threading.Event | None = None

    @property
    def given_up(self) -> bool:
        """Whether nobody waits for the files any more."""
        return self.stopping is not None and self.stopping.is_set()


def fetch(files: tuple[File, ...], folder: Path, limits: TimeLimits) -> None:
    """Put the files into the folder, each whole or not at all; several processes may do so at once.

    A file that is there and good is kept. Raises ModelError naming the server and the reason.
    """
    threads = ThreadGroup(stop_first=lambda: None)
    begun: list[Path] = []
    threads.start("fetch-model", lambda: _fetch_all(files, folder, limits, threads.stopping, begun))
    ends = PROCESS.monotonic() + limits.whole
    try:
        late = threads.join(_WAIT_S)
        while late and PROCESS.monotonic() < ends and not limits.given_up:
            late = threads.join(_WAIT_S)
    finally:
        threads.stop()
    server = urlsplit(files[0].url).hostname
    for part in begun if late else ():
        part.unlink(missing_ok=True)
    if late and limits.given_up:
        raise ModelError(f"fetching from {server} was given up")
    if late:
        raise ModelError(f"{server} did not deliver within {limits.whole:g} s")
    if threads.error is not None:
        raise ModelError(_reason(threads.error, server or "", folder, limits)) from threads.error


def _fetch_all(
    files: tuple[File, ...], folder: Path, limits: TimeLimits, stopping: threading.Event, begun: list[Path]
) -> None:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    for file in files:
        receive = partial(_receive, size=file.size, limits=limits, stopping=stopping, begun=begun)
        pooch.retrieve(file.url, f"sha384:{file.sha384}", fname=file.name, path=folder, downloader=receive)


def _receive(
    url: str,
    target: str,
    _pooch: None,
    size: int,
    limits: TimeLimits,
    stopping: threading.Event,
    begun: list[Path],
) -> None:
    """Write what the address sends into `target`; stops at too many bytes, or when nobody waits any more.

    Before that, it adds `target` to the files that are begun.
    """
    import requests

    begun.append(Path(target))

    with (
        requests.get(url, stream=True, timeout=(limits.connect, limits.read)) as answer,
        open(target, "wb") as file,
        _bar() as bar,
    ):
        answer.raise_for_status()
        task = bar.add_task(url.rpartition("/")[2], total=size)
        for chunk in answer.iter_content(_CHUNK_BYTES):
            file.write(chunk)
            bar.update(task, completed=file.tell(), refresh=True)
            if stopping.is_set() or file.tell() > size:
                raise ValueError("not the official file, or nobody waits for it any more")


def _bar() -> Progress:
    """Show progress, on a terminal only."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    return Progress(*columns, console=Console(stderr=True), auto_refresh=False, disable=not sys.stderr.isatty())


def _reason(error: BaseException, server: str, folder: Path, limits: TimeLimits) -> str:
    from requests import exceptions

    if isinstance(error, exceptions.ConnectTimeout):
        return f"{server} gave no answer within {limits.connect:g} s"
    if isinstance(error, exceptions.ProxyError):
        return f"the proxy on the way to {server} cannot be reached"
    if isinstance(error, exceptions.SSLError):
        return f"the certificate of {server} is not trusted"
    if isinstance(error, exceptions.HTTPError) and error.response is not None:
        return f"{server} answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, exceptions.Timeout) or "Read timed out" in str(error):
        return f"{server} fell silent for {limits.read:g} s"
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
