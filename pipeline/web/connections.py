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

_LINGER = "hh" if sys.platform == "win32" else "ii"


def hasten_handshakes(loop: asyncio.AbstractEventLoop) -> None:
    """Let servers made on this event loop wait seconds, not a minute, for a peer that begins TLS and falls silent."""
    make: Callable[..., Any] = loop.create_server

    def made(*arguments: Any, ssl: Any = None, **named: Any) -> Any:
        if ssl:
            named |= {
                "ssl_handshake_timeout": limits.TLS_HANDSHAKE_TIMEOUT_S,
                "ssl_shutdown_timeout": limits.CLOSE_TIMEOUT_S,
            }
        return make(*arguments, ssl=ssl, **named)

    loop.create_server = partial(made)  # type: ignore[method-assign]


def cut(transport: asyncio.Transport) -> None:
    """End a connection at once; what the system holds for a peer that does not read is given up too."""
    line = transport.get_extra_info("socket")
    if line is not None and line.fileno() >= 0:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, 1, 0))
    transport.abort()


class _StallTimer:
    """Aborts a connection whose peer leaves what it asked for unread for too long."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, transport: asyncio.Transport) -> None:
        """Note that the peer is behind."""
        self.end()
        self._timer = asyncio.get_running_loop().call_later(limits.STALL_TIMEOUT_S, cut, transport)

    def end(self) -> None:
        """Note that the peer has caught up, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TimedHttp(H11Protocol):
    """HTTP with limits in time: a request must arrive within seconds, and a peer must take what it asked for."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._arriving: asyncio.TimerHandle | None = None
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
            self._arriving = self.loop.call_later(limits.REQUEST_TIMEOUT_S, self._expire)

    def _expire(self) -> None:
        self._arriving = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _forget(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose peer must read what it is sent, and may not send faster than any page has reason to."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._stall = _StallTimer()
        self._allowance = float(limits.MAX_RECEIVED_BURST_BYTES)
        self._received_at = self.loop.time()
        self.close_timeout = limits.CLOSE_TIMEOUT_S

    def data_received(self, data: bytes) -> None:
        now = self.loop.time()
        earned = (now - self._received_at) * limits.MAX_RECEIVED_BYTES_PER_S
        self._allowance = min(limits.MAX_RECEIVED_BURST_BYTES, self._allowance + earned) - len(data)
        self._received_at = now
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
        """Close the WebSocket unless it is already closing: a second time would end the server in an error."""
        if self.handshake_complete and not self.close_sent and self.conn.state is not State.OPEN:
            self.stop_keepalive()
            self.transport.close()
        else:
            super().shutdown()
