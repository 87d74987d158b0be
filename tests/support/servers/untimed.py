"""Streams of pictures without times, as cheap cameras give them: over HTTP, TCP and UDP, at a pace that a test sets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from types import TracebackType

_BOUNDARY = b"frame"


class UntimedServer:
    """Sends one picture after the other to everybody who connects, each when `pace` says so; a context manager."""

    def __init__(self, pictures: Sequence[bytes], kind: str = "raw", part: str | None = "image/jpeg") -> None:
        """`kind` is raw (a body without end), multipart (parts of the type `part`) or bare (no HTTP at all)."""
        self.sent = 0
        self._pictures, self._kind, self._part = pictures, kind, part
        self._go = threading.Semaphore(0)
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def address(self) -> str:
        """Where it answers."""
        port = self._listener.getsockname()[1]
        return f"tcp://127.0.0.1:{port}" if self._kind == "bare" else f"http://127.0.0.1:{port}/video"

    def send(self, count: int = 1) -> None:
        """Let it send so many pictures more."""
        self._go.release(count)

    def __enter__(self) -> UntimedServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._go.release(1)
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self._talk(connection)
                except OSError:
                    continue

    def _talk(self, connection: socket.socket) -> None:
        if self._kind != "bare":
            connection.recv(65536)
            body = f"multipart/x-mixed-replace; boundary={_BOUNDARY.decode()}"
            sort = body if self._kind == "multipart" else "application/octet-stream"
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {sort}\r\nConnection: close\r\n\r\n".encode())
        while self._go.acquire() and not self._stopping.is_set():
            data = self._pictures[self.sent % len(self._pictures)]
            self.sent += 1
            if self._kind == "multipart":
                head = b"" if self._part is None else f"Content-Type: {self._part}\r\n".encode()
                length = f"Content-Length: {len(data)}\r\n\r\n".encode()
                data = b"--" + _BOUNDARY + b"\r\n" + head + length + data + b"\r\n"
            connection.sendall(data)
