"""Authentication by a token, given once at the login page for a cookie, or with each request as a bearer.

A code that is good once, printed at the start, is worth as much as the token at the login page.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
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
from pipeline.web.listener import Listener, Standing, network_of

from .login_code import LoginCode
from .stream_keys import StreamKeys

POST_PATHS = frozenset({"/login", "/logout"})
"""The only paths that take POST."""
_PUBLIC_PATHS = frozenset({"/login.css", "/login.js", "/icon.svg", "/healthz", "/readyz"})
"""The only paths that anybody may ask for: nothing about cameras stands there."""

_WRONG_TOKEN = "This is not the token."
_WRONG_CODE = "This code is wrong, used up or too old; log in with the token."
_REDIRECT_PAGE = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><title>Lookout</title>'
_TOO_MANY_WRONG_TOKENS = "Too many wrong tokens from your address; try again in a minute."


class TokenAuth:
    """Lets only requests through that carry the token, or the secret of the one stream that they ask for.

    The cookie outlives a restart and ends when the token changes.
    A wrong token costs its sender a second, and ten within a minute close the door to that address for as long,
    except for requests with a cookie.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        listener: Listener,
        clock: Clock,
        login_code: LoginCode,
        stream_keys: StreamKeys,
    ) -> None:
        """Tell `listener` which of its connections are whose."""
        conceal(token)
        self._app = app
        self._listener = listener
        self._clock = clock
        self._stream_keys = stream_keys
        # Cookies of one host are shared by all of its ports.
        self._cookie_name = f"lookout-{listener.getsockname()[1]}"
        self._digest = hashlib.sha256(token.encode()).digest()
        self._cookie_key = hmac.digest(token.encode(), b"cookies of the page", "sha256")
        self._login_code = login_code
        self._wrong_tokens = _WrongTokens()
        folder = files("pipeline.web").joinpath("static")
        self._login_page = folder.joinpath("login.html").read_text("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        self._note(scope, Standing.STRANGER)
        if scope["type"] == "http" and path in (*POST_PATHS, *_PUBLIC_PATHS):
            if path in _PUBLIC_PATHS:
                await self._app(scope, receive, send)
            else:
                posted = scope["method"] == "POST"
                response = await self._post(scope, receive, headers) if posted else self._form(path)
                await response(scope, receive, send)
            return
        if scope["type"] == "http" and self._stream_keys.guards(path):
            await self._serve_keyed(scope, receive, send)
            return
        if expires := self._session(scope):
            scope["logged_in"] = True
            self._note(scope, Standing.MEMBER)
            await self._app(scope, receive, self._renewing(scope, headers, expires, send))
            return
        refusal = await self._refusal(scope, headers)
        if refusal is None:
            self._note(scope, Standing.MEMBER)
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _note(self, scope: Scope, standing: Standing) -> None:
        self._listener.note(scope.get("client"), scope.get("server"), standing)

    async def _serve_keyed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request whose path holds the secret of a stream; a wrong one is slow, and may be an old address."""
        path = self._stream_keys.unlock(scope["path"])
        if path is None:
            await asyncio.sleep(limits.WRONG_TOKEN_DELAY_S)
            text = "There is no such stream; take its address from the page again.\n"
            await PlainTextResponse(text, 404)(scope, receive, send)
        else:
            self._note(scope, Standing.GUEST)
            await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    async def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to a request without a cookie; None if it carries the token."""
        authorization = headers.get("authorization")
        if authorization is None:
            if "text/html" in headers.get("accept", "") and scope["method"] == "GET":
                # A browser that follows another site's link sends no cookie, but does when the page itself goes on.
                linked = headers.get("sec-fetch-site") in ("cross-site", "same-site")
                return HTMLResponse(_REDIRECT_PAGE) if linked else RedirectResponse("/login", 303)
            return _unauthorized("A token is needed: send it as 'Authorization: Bearer TOKEN', or log in at /login.")
        client = _client_network(scope)
        if self._wrong_tokens.too_many(client):
            return PlainTextResponse(
                f"{_TOO_MANY_WRONG_TOKENS}\n", 429, {"retry-after": f"{limits.WRONG_TOKEN_WINDOW_S:.0f}"}
            )
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer" and len(headers.getlist("authorization")) == 1 and self._is_token(token):
            return None
        await self._wrong_tokens.punish(client)
        return _unauthorized(_WRONG_TOKEN)

    async def _post(self, scope: Scope, receive: Receive, headers: Headers) -> Response:
        if scope["path"] == "/logout":
            return self._with_cookie(RedirectResponse("/login", 303), headers, scope, "", 0)
        client = _client_network(scope)
        if self._wrong_tokens.too_many(client):
            return self._form("/login", _TOO_MANY_WRONG_TOKENS, 429)
        try:
            async with asyncio.timeout(limits.FORM_TIMEOUT_S):
                form = await _body(receive)
        except TimeoutError:
            return PlainTextResponse("The form took too long.\n", 408, {"connection": "close"})
        if form is None:
            return PlainTextResponse("The form is too long.\n", 413, {"connection": "close"})
        code = _field(form, "code")
        if not (self._login_code.accepts(code) if code else self._is_token(_field(form, "token"))):
            await self._wrong_tokens.punish(client)
            return self._form("/login", _WRONG_CODE if code else _WRONG_TOKEN, 401)
        return self._with_session(RedirectResponse("/", 303), headers, scope)

    def _form(self, path: str, problem: str = "", status: int = 200) -> Response:
        if path == "/logout":
            return PlainTextResponse("Log out with POST.\n", 405, {"allow": "POST"})
        later = {"retry-after": f"{limits.WRONG_TOKEN_WINDOW_S:.0f}"} if status == 429 else None
        return HTMLResponse(self._login_page.replace('role="alert"></p>', f'role="alert">{problem}</p>'), status, later)

    def _is_token(self, given: str) -> bool:
        # Digests have one length, so that the time tells nothing about the token's.
        return hmac.compare_digest(hashlib.sha256(given.strip().encode("utf-8", "replace")).digest(), self._digest)

    def _signature(self, expires: str) -> str:
        return urlsafe_b64encode(hmac.digest(self._cookie_key, expires.encode(), "sha256")).decode().rstrip("=")

    def _session(self, scope: Scope) -> int:
        """Return when the session of a request ends, in seconds since 1970; 0 if there is none."""
        expires, _, signature = HTTPConnection(scope).cookies.get(self._cookie_name, "").partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return 0
        good = hmac.compare_digest(signature.encode("utf-8", "replace"), self._signature(expires).encode())
        return int(expires) if good and int(expires) > self._clock.now().timestamp() else 0

    def _with_session(self, response: Response, headers: Headers, scope: Scope) -> Response:
        expires = str(math.ceil(self._clock.now().timestamp()) + limits.SESSION_S)
        return self._with_cookie(response, headers, scope, f"{expires}.{self._signature(expires)}", limits.SESSION_S)

    def _with_cookie(self, response: Response, headers: Headers, scope: Scope, value: str, age: int) -> Response:
        # A browser that reached us through a proxy with TLS says so itself.
        secure = scope["scheme"] == "https" or headers.get("origin", "").startswith("https://")
        response.set_cookie(self._cookie_name, value, age, httponly=True, samesite="strict", secure=secure)
        return response

    def _renewing(self, scope: Scope, headers: Headers, expires: int, send: Send) -> Send:
        """Renew the session of a page that is opened again before it ends, so that it never has to log in anew."""
        if scope["path"] != "/" or expires - self._clock.now().timestamp() > limits.SESSION_S / 2:
            return send
        fresh = self._with_session(Response(), headers, scope).headers["set-cookie"]

        async def renewed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", fresh)
            await send(message)

        return renewed


class _WrongTokens:
    """Wrong tokens of the last minute, by the addresses that sent them."""

    def __init__(self) -> None:
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def too_many(self, client: str) -> bool:
        """Return whether this address has to wait."""
        times = self._times.get(client, deque())
        oldest = asyncio.get_running_loop().time() - limits.WRONG_TOKEN_WINDOW_S
        return sum(time > oldest for time in times) >= limits.MAX_WRONG_TOKEN_COUNT

    async def punish(self, client: str) -> None:
        """Count one more, and make its sender wait."""
        times = self._times.setdefault(client, deque(maxlen=limits.MAX_WRONG_TOKEN_COUNT))
        times.append(asyncio.get_running_loop().time())
        self._times.move_to_end(client)
        if len(self._times) > limits.MAX_WRONG_TOKEN_ADDRESS_COUNT:
            self._times.popitem(last=False)
        await asyncio.sleep(limits.WRONG_TOKEN_DELAY_S)


def _client_network(scope: Scope) -> str:
    """Return what failures are counted against."""
    return network_of(str((scope.get("client") or ("",))[0]))


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is too long."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > limits.MAX_FORM_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _field(form: bytes, name: str) -> str:
    """Return a field of a form; empty if it is no form, or has it twice."""
    try:
        values = parse_qs(form.decode("utf-8", "replace"), max_num_fields=8).get(name, [])
    except ValueError:
        return ""
    return values[0] if len(values) == 1 else ""


def _unauthorized(problem: str) -> Response:
    return PlainTextResponse(f"{problem}\n", 401, {"www-authenticate": 'Bearer realm="Lookout"'})
