"""The socket that the page's server listens on, and how many connections it takes."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from pathlib import Path
from typing import Any
from weakref import WeakSet

from pipeline.errors import ConfigError, OutputError

from . import limits


class Listener(socket.socket):
    """A listening socket that ends a connection at once when as many as allowed are open."""

    max_count = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; raise ConnectionAbortedError in the place of one too many."""
        connection, peer = super().accept()
        if sum(known.fileno() >= 0 for known in self._open) >= self.max_count:
            connection.close()
            raise ConnectionAbortedError("too many connections")
        self._open.add(connection)
        return connection, peer


def affordable(wanted: int) -> int:
    """Return how many of `wanted` connections may be open: cameras and files need half of the process's descriptors."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(limits.MIN_CONNECTION_COUNT, min(wanted, soft // 2))


def listen(host: str, port: int, max_count: int) -> socket.socket:
    """Return a listening socket for so many connections; raise OutputError in one line."""
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = Listener(family, kind, protocol)
        listener.max_count = max_count
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit these: little can pile up for a slow viewer, and a vanished one is noticed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.SEND_BUFFER_BYTES)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limits.UNACKNOWLEDGED_TIMEOUT_MS)
        listener.bind(address)
        listener.listen(limits.LISTEN_BACKLOG_COUNT)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OutputError(f"port {port} on {host} is in use; choose another with --web PORT") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise OutputError(f"port {port} on {host} needs more rights; choose another with --web PORT") from error
        reason = error.strerror or "no such address"
        raise OutputError(f"cannot listen on {host} port {port}: {reason}; use 127.0.0.1") from error
    return listener


def reachable_host(listener: socket.socket) -> str:
    """Return the host for the address of the page: the way out of here where the server listens everywhere."""
    host = str(listener.getsockname()[0])
    if host in ("0.0.0.0", "::"):
        with socket.socket(listener.family, socket.SOCK_DGRAM) as probe:
            try:
                # An address for documentation: connecting a datagram socket chooses a way and sends nothing.
                probe.connect(("192.0.2.1" if listener.family == socket.AF_INET else "2001:db8::1", 9))
                host = str(probe.getsockname()[0])
            except OSError:
                host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return f"[{host}]" if ":" in host else host


def server_context(certificate: str, key: str | None) -> ssl.SSLContext:
    """Return the TLS context of the server; raise ConfigError in one line that says which file is wrong and why."""
    for name, path in (("certificate", certificate), ("key", key)):
        if path is not None:
            _readable(f"outputs.web.{name}", path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password OpenSSL would ask for one in the terminal.
        tls.load_cert_chain(Path(certificate).expanduser(), key and Path(key).expanduser(), password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"outputs.web.key: {key or certificate} is not the key of {certificate}") from error
        wrong = "certificate" if key is None or _is_broken(certificate) else "key"
        path = certificate if wrong == "certificate" else key
        raise ConfigError(
            f"outputs.web.{wrong}: {path} holds no {wrong} in PEM form that can be read without a password"
        ) from error
    return tls


def _readable(setting: str, path: str) -> None:
    try:
        with Path(path).expanduser().open("rb"):
            pass
    except OSError as error:
        raise ConfigError(f"{setting}: {path} cannot be read: {error.strerror}") from error


def _is_broken(certificate: str) -> bool:
    """Return whether the file holds no certificate."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(Path(certificate).expanduser())
    except ssl.SSLError:
        return True
    return False
