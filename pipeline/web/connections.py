"""Connections to the page's server, each limited in time and in what its peer may send or leave unread."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from . import limits

_LINGER_FORMAT = "hh" if sys.platform == "win32" else "ii"


def hasten_handshakes(loop: asyncio.AbstractEventLoop) -> None:
    """Let servers made on this event loop wait seconds, not a minute, for a peer that begins TLS and falls silent."""
    create_server: Callable[..., Any] = loop.create_server

    def create_hasty_server(*arguments: Any, ssl: Any = None, **options: Any) -> Any:
        if ssl:
            options |= {
                "ssl_handshake_timeout": limits.TLS_HANDSHAKE_TIMEOUT_S,
                "ssl_shutdown_timeout": limits.CLOSE_TIMEOUT_S,
            }
        return create_server(*arguments, ssl=ssl, **options)

    loop.create_server = partial(create_hasty_server)  # type: ignore[method-assign]


def abort_connection(transport: asyncio.Transport) -> None:
    """End a connection at once; what the system holds for a peer that does not read is given up too."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER_FORMAT, 1, 0))
    transport.abort()


class _StallTimer:
    """Aborts a connection whose peer leaves what it asked for unread for too long."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Note that the peer is behind."""
        self.end()
        self._timer = asyncio.get_running_loop().call_later(limits.STALL_TIMEOUT_S, abort_connection, transport)

    def end(self) -> None:
        """Note that the peer has caught up, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TimedHttp(H11Protocol):
    """HTTP with limits in time: a request must arrive within seconds, and a peer must take what it asked for."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._request_timer: asyncio.TimerHandle | None = None
        self._stall = _StallTimer()
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_request()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self._stop_timer()
        self._stall.end()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall.begin(self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stall.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stall.end()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect_request()

    def _expect_request(self) -> None:
        if self._upgraded or self.transport.is_closing() or (self.cycle and not self.cycle.response_complete):
            self._stop_timer()
        elif self._request_timer is None:
            self._request_timer = self.loop.call_later(limits.REQUEST_TIMEOUT_S, self._expire)

    def _expire(self) -> None:
        self._request_timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _stop_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose peer must read what it is sent, and may not send faster than any page has reason to."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stall = _StallTimer()
        self._allowed_bytes = float(limits.MAX_RECEIVED_BURST_BYTES)
        self._received_at = self.loop.time()
        self.close_timeout = limits.CLOSE_TIMEOUT_S

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        earned = (now - self._received_at) * limits.MAX_RECEIVED_BYTES_PER_S
        self._allowed_bytes = min(limits.MAX_RECEIVED_BURST_BYTES, self._allowed_bytes + earned) - len(data)
        self._received_at = now
        if self._allowed_bytes < 0:
            abort_connection(self.transport)
            return
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.transport.is_closing():
            # An opening that cannot be read, such as one of a very long line, is reported nowhere else.
            abort_connection(self.transport)

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
        """Close the WebSocket unless it is already closing: a second time would end the server in an error."""
        if self.handshake_complete and not self.close_sent and self.conn.state is not State.OPEN:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()
