"""The socket that the page's server listens on, and how many connections it takes."""

from __future__ import annotations

import errno
import ipaddress
import socket
import ssl
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from pipeline.errors import ConfigError, OutputError

from . import limits


class Standing(IntEnum):
    """How far whoever is at the other end of a connection is known; of the less known one the place is taken first."""

    STRANGER = 0
    """Has shown nothing yet."""
    GUEST = 1
    """Knows the secret address of one stream."""
    MEMBER = 2
    """Has logged in, or sends the token."""


@dataclass(slots=True, eq=False)
class _Place:
    """One open connection."""

    connection: socket.socket
    network: str
    standing: Standing = Standing.STRANGER
    session: str = ""
    ended: bool = False


class Listener(socket.socket):
    """A listening socket whose places go to those who are known: whoever comes anew gets one to show it.

    The place for it is that of the stranger who has had the longest time to show something, one of the same address
    where that has its share. Members keep theirs. Used on the server's event loop only.
    """

    max_count = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._places: dict[tuple[Any, Any], _Place] = {}

    def listen(self, backlog: int = limits.LISTEN_BACKLOG_COUNT) -> None:
        """Listen; what the server asks for says only how many connections it accepts at once."""
        super().listen(limits.LISTEN_BACKLOG_COUNT)

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection; raise ConnectionAbortedError where every place is a member's."""
        connection, peer = super().accept()
        self._places = {ends: place for ends, place in self._places.items() if place.connection.fileno() >= 0}
        network = network_of(str(peer[0]))
        if not self._make_room(network):
            connection.close()
            raise ConnectionAbortedError("too many connections")
        self._places[peer[:2], connection.getsockname()[:2]] = _Place(connection, network)
        return connection, peer

    def note(self, client: Any, server: Any, standing: Standing, session: str = "") -> Standing:
        """Note what the newest request of the connection between these two ends has shown; return what was before."""
        place = self._places.get((tuple(client or ()), tuple(server or ())))
        if place is None:
            return Standing.STRANGER
        before, place.standing, place.session = place.standing, standing, session
        return before

    def dismiss(self, session: str) -> None:
        """End every connection of a session."""
        for place in list(self._places.values()):
            if place.session == session:
                _end(place)

    def _make_room(self, network: str) -> bool:
        """End the connection that has to give way to a new one from that network, if one has to; False: none may be."""
        open_places = [place for place in self._places.values() if not place.ended]
        replaceable = [place for place in open_places if place.standing < Standing.MEMBER]
        counts = Counter(place.network for place in replaceable)
        if counts[network] >= limits.MAX_STRANGER_COUNT:
            replaceable = [place for place in replaceable if place.network == network]
        elif len(open_places) < self.max_count:
            return True
        if not replaceable:
            return False
        # Of equals the oldest, for the places are kept in the order in which they were taken.
        _end(min(replaceable, key=lambda place: (place.standing, -counts[place.network])))
        return True


def _end(place: _Place) -> None:
    """Let the connection's transport see an end, which closes it in its own time; it holds no place any more."""
    place.ended = True
    with suppress(OSError):
        place.connection.shutdown(socket.SHUT_RDWR)


def network_of(host: str) -> str:
    """Return whose connections and failures count together: an IPv4 address, or the 2^64 IPv6 addresses of one host."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def affordable(wanted: int) -> int:
    """Return how many of `wanted` connections may be open: cameras and files need half of the process's descriptors."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(limits.MIN_CONNECTION_COUNT, min(wanted, soft // 2))


def listen(host: str, port: int, max_count: int) -> Listener:
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
        listener.listen()
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
