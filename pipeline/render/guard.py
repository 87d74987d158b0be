"""What keeps the page's server safe: who may ask, with which words, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import h11
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from uvicorn.protocols.http.h11_impl import H11Protocol

_REQUEST_TIME = 5.0
_STALL_TIME = 10.0
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_LINES = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]


class Guard:
    """Lets only GET and HEAD from this server's own names through, and says how answers may be used.

    A page of another site that resolves its own name to this machine sends that name as Host: it is refused.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        known = len(headers.getlist("host")) == 1 and host_name(host) in self._hosts
        if scope["type"] == "websocket":
            origin = headers.get("origin")
            if not known or origin not in (None, f"http://{host}", f"https://{host}"):
                await WebSocketClose()(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return

        async def sealed(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_LINES]
            await send(message)

        if not known:
            refusal = PlainTextResponse("This address is not served here.\n", 421)
            await refusal(scope, receive, sealed)
        elif scope["method"] not in ("GET", "HEAD"):
            refusal = PlainTextResponse("Only GET and HEAD are served here.\n", 405, {"allow": "GET, HEAD"})
            await refusal(scope, receive, sealed)
        else:
            await self._app(scope, receive, sealed)


def host_name(host: str) -> str:
    """A Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and (port.isdigit() or not port) else host).lower()


class TimedProtocol(H11Protocol):
    """HTTP with limits in time: a request must arrive within seconds, and a peer must take what it asked for."""

    _arriving: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_request()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._upgraded = True
        self._forget()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(_STALL_TIME, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        if self._upgraded or (self.cycle is not None and not self.cycle.response_complete):
            self._forget()
        elif self._arriving is None:
            self._arriving = self.loop.call_later(_REQUEST_TIME, self._expire)

    def _expire(self) -> None:
        self._arriving = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()

    def _forget(self) -> None:
        for timer in (self._arriving, self._stalled):
            if timer is not None:
                timer.cancel()
        self._arriving = None
