"""Files that are written: locked for one writer, never emptied before their time, and never waited on for ever."""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.errors import OutputError, unwritable

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

STALL_S = 3.0
"""Seconds that the reader of a pipe may take nothing."""

_WAIT_S = 0.1
_MODE_FLAGS = 0o644
_MAX_PIPE_BYTES = getattr(select, "PIPE_BUF", 512)
"""Bytes for which a pipe has room for sure where it says that it has any."""


class WrittenFile(io.RawIOBase):
    """One file, locked while it is open where its disk knows locks; a lock dies with its process.

    What is there stays until `clear`. Pipes and terminals are written only when they take something,
    and what they took a part of is finished first. For one thread at a time.
    """

    def __init__(self, path: Path, *, new: bool = False, append: bool = False, shared: bool = False) -> None:
        """Open it, or with `new` make one that was not there; folders above are made. Raises OutputError.

        One that is `shared` is not locked: on network disks others could not even read it meanwhile.
        """
        self.path = path
        self.waits: Callable[[float], bool] = lambda waited: waited < STALL_S
        """Asked whether to wait on for the reader of a pipe, with the seconds since it took something."""
        self.written = 0
        """Bytes written so far, those over others included."""
        self._left = b""
        self._descriptor = -1
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._fresh = not os.path.lexists(path)
            self._descriptor = _opened(path, new=new, append=append)
            self.regular = stat.S_ISREG(os.fstat(self._descriptor).st_mode)
            """Whether it is a file on a disk rather than a pipe or a device."""
            if self.regular and not shared:
                lock(self._descriptor, path)
            if self.regular and append:
                self._end_line()
        except OutputError:
            self.close()
            raise
        except (OSError, ValueError) as error:
            self.close()
            raise unwritable(path, error) from error

    def writable(self) -> bool:
        """Say yes: it is for writing alone."""
        return True

    def seekable(self) -> bool:
        """Tell whether there are places to go to."""
        return self.regular

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def write(self, data: object) -> int:
        """Write all of it; raises OSError, and BlockingIOError where a pipe takes nothing."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]
        if self.regular:
            _write_all(self._descriptor, view)
        else:
            self._feed(bytes(view))
        self.written += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in bytes."""
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """Return the place in bytes."""
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def clear(self) -> None:
        """Empty the file, which is now to be written anew."""
        if self.regular:
            os.ftruncate(self._descriptor, 0)
            self.seek(0)

    @property
    def moved(self) -> bool:
        """Whether its name belongs to another file by now, or to none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return True
        return not os.path.samestat(found, os.fstat(self._descriptor))

    def close(self) -> None:
        """Close and unlock; harmless when called twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        super().close()

    @property
    def size(self) -> int:
        """Bytes that are in it; 0 for a pipe."""
        return os.fstat(self._descriptor).st_size if self.regular else 0

    def end(self, most: int) -> bytes:
        """Return the last bytes that are in it, `most` of them at most; raises OSError."""
        return os.pread(self._descriptor, most, max(0, self.size - most))

    def discard(self) -> None:
        """Close it, and remove it if nobody had it before."""
        if self._descriptor >= 0 and self._fresh and self.regular and not self.moved:
            with suppress(OSError):
                os.unlink(self.path)
        self.close()

    def discard_if_empty(self) -> None:
        """Close it, and remove it if nobody had it before and nothing was written."""
        if self._descriptor >= 0 and not self.size:
            self.discard()
        self.close()

    def _end_line(self) -> None:
        """End the line that an earlier end left unfinished."""
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            _write_all(self._descriptor, memoryview(b"\n"))

    def _feed(self, data: bytes) -> None:
        self._left = feed(self._descriptor, self._left, self.waits)
        if not self._left:
            self._left = feed(self._descriptor, data, self.waits)
        if self._left == data:
            self._left = b""
            raise silence()


def feed(descriptor: int, data: bytes, waits: Callable[[float], bool]) -> bytes:
    """Write to a pipe or a terminal for as long as its reader takes something; return what it has not taken.

    `waits` is asked whether to wait on, with the seconds since it took something.
    """
    waited = 0.0
    while data:
        if not _takes(descriptor, 0.0 if not waited else _WAIT_S):
            if not waits(waited):
                break
            waited += _WAIT_S
            continue
        with suppress(BlockingIOError):
            data = data[os.write(descriptor, data[:_MAX_PIPE_BYTES]) :]
            waited = 0.0
    return data


def never(waited: float) -> bool:
    """Wait for no reader."""
    return False


def silence(text: str = "its reader takes nothing") -> BlockingIOError:
    """Return the error of a pipe that takes nothing."""
    return BlockingIOError(errno.EAGAIN, text)


def _takes(descriptor: int, patience: float) -> bool:
    """Tell whether something can be written within so many seconds; an error counts, so that the writing finds it."""
    if not hasattr(select, "poll"):
        return True
    waiting = select.poll()
    waiting.register(descriptor, select.POLLOUT)
    return bool(waiting.poll(patience * 1000))


def lock(descriptor: int, path: Path) -> None:
    """Hold a file for this process until it is closed; OutputError says who holds it already.

    A disk that knows no locks goes without.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = _holder(descriptor)
        raise OutputError(f"cannot write {path}: {holder} writes it; end that or choose another place") from None
    except OSError:
        return


def _opened(path: Path, *, new: bool, append: bool) -> int:
    flags = os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    if new:
        return os.open(path, flags | os.O_RDWR | os.O_EXCL, _MODE_FLAGS)
    try:
        kind = os.stat(path).st_mode
    except FileNotFoundError:
        kind = stat.S_IFREG
    if stat.S_ISFIFO(kind):
        try:
            # Without a reader this fails, where the plain way would wait for one.
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise silence("nobody reads it") from error
            raise
    if append:
        flags |= os.O_APPEND
    return os.open(path, flags | (os.O_RDWR if stat.S_ISREG(kind) else os.O_WRONLY), _MODE_FLAGS)


def _write_all(descriptor: int, view: memoryview) -> None:
    while view:
        view = view[os.write(descriptor, view) :]


def _holder(descriptor: int) -> str:
    """Return in words who holds the lock of a file, as far as the system tells."""
    inode = f":{os.fstat(descriptor).st_ino}"
    try:
        rows = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        rows = []
    for row in rows:
        # The device in front may be called otherwise than by stat, as on overlays.
        if row[1:2] == ["FLOCK"] and row[5].endswith(inode) and (pid := row[4]).isdigit() and pid != "0":
            return "another output of this run" if int(pid) == os.getpid() else f"process {pid}"
    return "another program"


def put_in_place(made: Path, target: Path) -> None:
    """Let a whole file take the place of another, through links; OutputError where somebody is writing that one."""
    with WrittenFile(Path(os.path.realpath(target)), append=True) as place:
        if not place.regular:
            raise OutputError(f"cannot write {target}: it is a device; name a file")
        os.replace(made, place.path)


def write_whole(target: Path, data: bytes) -> None:
    """Write a small file, of which what is there stays until all of it is on the disk; raises OutputError."""
    with WrittenFile(target) as place:
        if not place.regular:
            raise OutputError(f"cannot write {target}: it is a device; name a file")
        real = Path(os.path.realpath(target))
        part = real.with_name(f".{real.name}.{os.getpid()}.part")
        try:
            part.write_bytes(data)
            part.replace(real)
        except OSError as error:
            part.unlink(missing_ok=True)
            if not place.size:
                place.discard()
            raise unwritable(target, error) from error
