"""Who may look: a token, given once at the login page for a cookie, or with each request as a bearer.

A code that is good once, printed at the start, is worth as much as the token at the login page.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import math
from base64 import urlsafe_b64encode
from collections import OrderedDict, deque
from importlib.resources import files
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from pipeline.clock import Clock
from pipeline.redaction import conceal
from pipeline.web import limits

from .login_code import LoginCode
from .stream_keys import StreamKeys

POSTS = frozenset({"/login", "/logout"})
"""The only paths that take POST."""
_OPEN = frozenset({"/login.css", "/login.js", "/icon.svg", "/healthz", "/readyz"})
"""The only paths that anybody may ask for: nothing about cameras stands there."""

_WRONG = "This is not the token."
_WORN = "This code is wrong, used up or too old; log in with the token."
_ONWARD = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>Lookout</title>'
_LOCKED = "Too many wrong tokens from your address; try again in a minute."


class Access:
    """Lets only those through who know the token, or the secret of the one stream that they ask for.

    The cookie outlives a restart and ends when the token changes.
    A wrong token costs its sender a second, and ten within a minute close the door to that address for as long,
    except for those who hold a cookie.
    """

    def __init__(
        self, app: ASGIApp, token: str, port: int, clock: Clock, invitation: LoginCode, permits: StreamKeys
    ) -> None:
        conceal(token)
        self._app = app
        self._clock = clock
        self._permits = permits
        # Cookies of one host are shared by all of its ports.
        self._name = f"lookout-{port}"
        self._digest = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(token.encode(), b"cookies of the page", "sha256")
        self._invitation = invitation
        self._failures = _Failures()
        folder = files("pipeline.web").joinpath("static")
        self._page = folder.joinpath("login.html").read_text("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        if scope["type"] == "http" and path in (*POSTS, *_OPEN):
            if path in _OPEN:
                await self._app(scope, receive, send)
            else:
                answer = await self._posted(scope, receive, headers) if scope["method"] == "POST" else self._form(path)
                await answer(scope, receive, send)
            return
        if scope["type"] == "http" and self._permits.guarded(path):
            await self._permitted(scope, receive, send)
            return
        if expires := self._session(scope):
            scope["logged_in"] = True
            await self._app(scope, receive, self._renewing(scope, headers, expires, send))
            return
        refusal = await self._refusal(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    async def _permitted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one whose address holds the secret of a stream; a wrong one is slow, and may be an old address."""
        path = self._permits.opened(scope["path"])
        if path is None:
            await asyncio.sleep(limits.WRONG_TOKEN_DELAY_S)
            text = "There is no such stream; take its address from the page again.\n"
            await PlainTextResponse(text, 404)(scope, receive, send)
        else:
            await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    async def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """What to answer one without a cookie; None if the request carries the token."""
        given = headers.get("authorization")
        if given is None:
            if "text/html" in headers.get("accept", "") and scope["method"] == "GET":
                # Who follows another site's link comes without the cookie, and has it when the page itself goes on.
                linked = headers.get("sec-fetch-site") in ("cross-site", "same-site")
                return HTMLResponse(_ONWARD) if linked else RedirectResponse("/login", 303)
            return _unauthorized("A token is needed: send it as 'Authorization: Bearer TOKEN', or log in at /login.")
        place = _place(scope)
        if self._failures.too_many(place):
            return PlainTextResponse(f"{_LOCKED}\n", 429, {"retry-after": f"{limits.WRONG_TOKEN_WINDOW_S:.0f}"})
        kind, _, token = given.partition(" ")
        if kind.lower() == "bearer" and len(headers.getlist("authorization")) == 1 and self._is_token(token):
            return None
        await self._failures.punish(place)
        return _unauthorized(_WRONG)

    async def _posted(self, scope: Scope, receive: Receive, headers: Headers) -> Response:
        if scope["path"] == "/logout":
            return self._with_cookie(RedirectResponse("/login", 303), headers, scope, "", 0)
        place = _place(scope)
        if self._failures.too_many(place):
            return self._form("/login", _LOCKED, 429)
        try:
            async with asyncio.timeout(limits.FORM_TIMEOUT_S):
                form = await _body(receive)
        except TimeoutError:
            return PlainTextResponse("The form took too long.\n", 408, {"connection": "close"})
        if form is None:
            return PlainTextResponse("The form is too long.\n", 413, {"connection": "close"})
        code = _field(form, "code")
        if not (self._invitation.accepts(code) if code else self._is_token(_field(form, "token"))):
            await self._failures.punish(place)
            return self._form("/login", _WORN if code else _WRONG, 401)
        return self._signed_in(RedirectResponse("/", 303), headers, scope)

    def _form(self, path: str, problem: str = "", status: int = 200) -> Response:
        if path == "/logout":
            return PlainTextResponse("Log out with POST.\n", 405, {"allow": "POST"})
        later = {"retry-after": f"{limits.WRONG_TOKEN_WINDOW_S:.0f}"} if status == 429 else None
        return HTMLResponse(self._page.replace('role="alert"></p>', f'role="alert">{problem}</p>'), status, later)

    def _is_token(self, given: str) -> bool:
        # Digests have one length, so that the time tells nothing about the token's.
        return hmac.compare_digest(hashlib.sha256(given.strip().encode("utf-8", "replace")).digest(), self._digest)

    def _signature(self, expires: str) -> str:
        return urlsafe_b64encode(hmac.digest(self._key, expires.encode(), "sha256")).decode().rstrip("=")

    def _session(self, scope: Scope) -> int:
        """When the session of a request ends, in seconds since 1970; 0 if there is none."""
        expires, _, signature = HTTPConnection(scope).cookies.get(self._name, "").partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return 0
        good = hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(expires).encode())
        return int(expires) if good and int(expires) > self._clock.now().timestamp() else 0

    def _signed_in(self, answer: Response, headers: Headers, scope: Scope) -> Response:
        expires = str(math.ceil(self._clock.now().timestamp()) + limits.SESSION_S)
        return self._with_cookie(answer, headers, scope, f"{expires}.{self._signature(expires)}", limits.SESSION_S)

    def _with_cookie(self, answer: Response, headers: Headers, scope: Scope, value: str, age: int) -> Response:
        # A browser that reached us through a proxy with TLS says so itself.
        secure = scope["scheme"] == "https" or headers.get("origin", "").startswith("https://")
        answer.set_cookie(self._name, value, age, httponly=True, samesite="strict", secure=secure)
        return answer

    def _renewing(self, scope: Scope, headers: Headers, expires: int, send: Send) -> Send:
        """A page that is opened again before its session ends never has to log in anew."""
        if scope["path"] != "/" or expires - self._clock.now().timestamp() > limits.SESSION_S / 2:
            return send
        fresh = self._signed_in(Response(), headers, scope).headers["set-cookie"]

        async def renewed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", fresh)
            await send(message)

        return renewed


class _Failures:
    """Wrong tokens of the last minute, by where they came from."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def too_many(self, place: str) -> bool:
        """Whether this address has to wait."""
        times = self._times.get(place, deque())
        oldest = asyncio.get_running_loop().time() - limits.WRONG_TOKEN_WINDOW_S
        return sum(each > oldest for each in times) >= limits.MAX_WRONG_TOKEN_COUNT

    async def punish(self, place: str) -> None:
        """Count one more, and make its sender wait."""
        times = self._times.setdefault(place, deque(maxlen=limits.MAX_WRONG_TOKEN_COUNT))
        times.append(asyncio.get_running_loop().time())
        self._times.move_to_end(place)
        if len(self._times) > limits.MAX_WRONG_TOKEN_ADDRESS_COUNT:
            self._times.popitem(last=False)
        await asyncio.sleep(limits.WRONG_TOKEN_DELAY_S)


def _place(scope: Scope) -> str:
    """Whom failures are counted against: an IPv4 address, or an IPv6 network, of which one host has 2^64 addresses."""
    host = (scope.get("client") or ("",))[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return str(host)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


async def _body(receive: Receive) -> bytes | None:
    """A request's body; None if it is too long."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > limits.MAX_FORM_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _field(form: bytes, name: str) -> str:
    """What a form says under a name; empty if it is no form, or says it twice."""
    try:
        said = parse_qs(form.decode("utf-8", "replace"), max_num_fields=8).get(name, [])
    except ValueError:
        return ""
    return said[0] if len(said) == 1 else ""


def _unauthorized(problem: str) -> Response:
    return PlainTextResponse(f"{problem}\n", 401, {"www-authenticate": 'Bearer realm="Lookout"'})
