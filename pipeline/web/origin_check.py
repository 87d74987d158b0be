"""Protection of the page's server from other sites: the names it answers to, the pages it answers, and the headers."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from . import limits
from .settings import Web

# Without any referrer, browsers would send the login form with the Origin null.
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
        "connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_SHARED_HEADERS = _HEADERS | {
    "cross-origin-resource-policy": "cross-origin",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD",
    "access-control-allow-headers": "*",
    "access-control-expose-headers": "*",
}
"""For what its secret address alone opens: players stand on pages of their own, and no cookie goes with them."""

_FORWARDED_HOST = "x-forwarded-host"
"""What browsers call this server by where a proxy says another name as Host; no page can make a browser send it."""


class HostOriginCheck:
    """Lets only requests for this server's own names and from its own pages through; limits how answers may be used.

    A page of another site that resolves its own name to this machine sends that name as Host: it is refused.
    Nothing but GET and HEAD is served, except POST at the paths in `post_paths`. Pages of any site may ask for paths
    that are `shared`, because they hold a secret.
    """

    def __init__(
        self,
        app: ASGIApp,
        is_own: Callable[[str], bool],
        post_paths: frozenset[str] = frozenset(),
        shared: Callable[[str], bool] = lambda path: False,
    ) -> None:
        self._app = app
        self._is_own = is_own
        self._post_paths = post_paths
        self._shared = shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        known = len(headers.getlist("host")) == 1 and self._is_own(host_name(host))
        origins = headers.getlist("origin")
        hosts = {host, *(each for each in headers.getlist(_FORWARDED_HOST) if self._is_own(host_name(each)))}
        own = {f"{scheme}://{each}" for scheme in ("http", "https") for each in hosts}
        foreign = any(origin not in own for origin in origins)
        target = len(scope["raw_path"]) + len(scope["query_string"])
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if scope["type"] == "websocket":
            if not known or foreign or size > limits.MAX_HEADER_BYTES:
                await WebSocketClose()(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return

        shared = self._shared(scope["path"])

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                added = (_SHARED_HEADERS if shared else _HEADERS).items()
                raw = [(name.encode(), value.encode()) for name, value in added]
                message["headers"] = [*message.get("headers", ()), *raw]
            await send(message)

        reading = scope["method"] in ("GET", "HEAD")
        refusal: Response
        if target > limits.MAX_TARGET_BYTES or size > limits.MAX_HEADER_BYTES:
            refusal = PlainTextResponse("The request is too long.\n", 414 if target > limits.MAX_TARGET_BYTES else 431)
        elif not known:
            refusal = PlainTextResponse(
                "This address is not served here; if it is yours, add it to outputs.web.names.\n", 421
            )
        elif shared and scope["method"] == "OPTIONS":
            # A browser asks first whether a player may send what it wants to send.
            refusal = Response(status_code=204)
        elif not reading and (scope["method"] != "POST" or scope["path"] not in self._post_paths):
            refusal = PlainTextResponse("Only GET and HEAD are served here.\n", 405, {"allow": "GET, HEAD"})
        elif not shared and (foreign or _is_cross_site(headers, reading)):
            refusal = PlainTextResponse("Pages of other sites are not served here.\n", 403)
        else:
            await self._app(scope, receive, send_with_headers)
            return
        await refusal(scope, receive, send_with_headers)


def _is_cross_site(headers: Headers, reading: bool) -> bool:
    """Return whether a browser says that another site's page asks, other than by a link that was followed."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (reading and link)


def host_name(host: str) -> str:
    """Return a Host header without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and ((port.isascii() and port.isdigit()) or not port) else host).lower()


def own_names(settings: Web) -> Callable[[str], bool]:
    """Return the test for the server's host names; behind a token also every IP address, as none can be redirected."""
    names = {"localhost", "127.0.0.1", "[::1]", *(name.lower() for name in settings.names)}
    if settings.local:
        return names.__contains__
    machine = socket.gethostname().lower()
    names |= {settings.host.lower(), machine, f"{machine}.local"}
    return lambda name: name in names or _is_address(name)


def _is_address(name: str) -> bool:
    bracketed = name.startswith("[") and name.endswith("]")
    try:
        return ipaddress.ip_address(name[1:-1] if bracketed else name).version == (6 if bracketed else 4)
    except ValueError:
        return False
