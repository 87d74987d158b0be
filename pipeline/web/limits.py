"""Limits on every connection to the page's server: in number, in time, and in what a peer may send or leave unread."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakSet

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

_REQUEST_TIME = 5.0
_STALL_TIME = 10.0
_HANDSHAKE_TIME = 5.0
_FAREWELL_TIME = 2.0
_BYTES_A_SECOND = 128 * 1024
_BURST = 512 * 1024
_FEWEST_FILES = 64
_LINGER = "hh" if sys.platform == "win32" else "ii"


class Listener(socket.socket):
    """A listening socket that ends a connection at once when as many as allowed are open."""

    most = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: WeakSet[socket.socket] = WeakSet()

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; raises ConnectionAbortedError in the place of one too many."""
        connection, peer = super().accept()
        if sum(each.fileno() >= 0 for each in self._open) >= self.most:
            connection.close()
            raise ConnectionAbortedError("too many connections")
        self._open.add(connection)
        return connection, peer


def affordable(wanted: int) -> int:
    """How many of `wanted` connections may be open: cameras and files need half of the process's descriptors."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(_FEWEST_FILES, min(wanted, soft // 2))


def hasten_handshakes(loop: asyncio.AbstractEventLoop) -> None:
    """Let servers made on this event loop wait seconds, not a minute, for a peer that begins TLS and falls silent."""
    make: Callable[..., Any] = loop.create_server

    def made(*arguments: Any, ssl: Any = None, **named: Any) -> Any:
        limits = {"ssl_handshake_timeout": _HANDSHAKE_TIME, "ssl_shutdown_timeout": _FAREWELL_TIME} if ssl else {}
        return make(*arguments, ssl=ssl, **limits, **named)

    loop.create_server = partial(made)  # type: ignore[method-assign]


def cut(transport: asyncio.Transport) -> None:
    """End a connection at once; what the system holds for a peer that does not read is given up too."""
    line = transport.get_extra_info("socket")
    if line is not None and line.fileno() >= 0:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
    transport.abort()


class _Stall:
    """Aborts a connection whose peer leaves what it asked for unread for too long."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """The peer is behind."""
        self.end()
        self._timer = asyncio.get_running_loop().call_later(_STALL_TIME, cut, transport)

    def end(self) -> None:
        """The peer has caught up, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TimedProtocol(H11Protocol):
    """HTTP with limits in time: a request must arrive within seconds, and a peer must take what it asked for."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._arriving: asyncio.TimerHandle | None = None
        self._stall = _Stall()
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_request()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self._forget()
        self._stall.end()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        self._stall.end()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def _expect_request(self) -> None:
        if self._upgraded or self.transport.is_closing() or (self.cycle and not self.cycle.response_complete):
            self._forget()
        elif self._arriving is None:
            self._arriving = self.loop.call_later(_REQUEST_TIME, self._expire)

    def _expire(self) -> None:
        self._arriving = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _forget(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose peer must read what it is sent, and may not send faster than any page has reason to."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._stall = _Stall()
        self._allowance = float(_BURST)
        self._heard = self.loop.time()
        self.close_timeout = _FAREWELL_TIME

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        self._allowance = min(_BURST, self._allowance + (now - self._heard) * _BYTES_A_SECOND) - len(data)
        self._heard = now
        if self._allowance < 0:
            cut(self.transport)
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            # Of an opening that cannot be read, such as one of a very long line, nobody else hears.
            cut(self.transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stall.end()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Say goodbye, but not to a viewer who is just leaving: that would end the server in an error."""
        if self.handshake_complete and not self.close_sent and self.conn.state is not State.OPEN:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()
