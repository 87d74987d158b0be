"""Authentication by a token, given once at the login page for a cookie, or with each request: as bearer or password.

A code that is good once, printed at the start, is worth as much as the token at the login page.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b64decode
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from pipeline.clock import Clock
from pipeline.redaction import conceal
from pipeline.web import limits
from pipeline.web.listener import Listener, Standing, network_of
from pipeline.web.routes.base_path import based, cookie_path, page_address

from .guesses import Guesses
from .login_code import LoginCode
from .sessions import Session, Sessions
from .stream_keys import StreamKeys

POST_PATHS = frozenset({"/login", "/logout"})
"""The only paths that take POST."""
_PUBLIC_PATHS = frozenset({"/login.css", "/login.js", "/icon.svg", "/healthz", "/readyz"})
"""The only paths that anybody may ask for: nothing about cameras stands there."""

_WRONG_TOKEN = "This is not the token."
_NEEDED = (
    "A token is needed: send it as 'Authorization: Bearer TOKEN', give it as the password in the address "
    "(http://lookout:TOKEN@...), or log in at /login."
)
_WRONG_CODE = "This code is wrong, used up or too old; log in with the token."
_REDIRECT_PAGE = '<!doctype html><meta http-equiv="refresh" content="0;url={}"><title>Lookout</title>'


class TokenAuth:
    """Lets only requests through that carry the token, or the secret of the one stream that they ask for.

    A wrong token costs its sender a second; after ten within a minute those of that address are judged one by one and
    slowly. Requests with a cookie do not wait for that.
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
        self._stream_keys = stream_keys
        self._digest = hashlib.sha256(token.encode()).digest()
        self._login_code = login_code
        self._sessions = Sessions(token, listener.getsockname()[1], clock)
        self._guesses = Guesses()
        folder = files("pipeline.web").joinpath("static")
        self._login_page = folder.joinpath("login.html").read_text("utf-8")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, path = Headers(scope=scope), scope["path"]
        before = self._note(scope, Standing.STRANGER)
        if scope["type"] == "http" and path in (*POST_PATHS, *_PUBLIC_PATHS):
            if path in _PUBLIC_PATHS:
                await self._app(scope, receive, send)
            else:
                posted = scope["method"] == "POST"
                response = await self._post(scope, receive) if posted else self._form(scope)
                await response(scope, receive, send)
            return
        if scope["type"] == "http" and self._stream_keys.guards(path):
            await self._serve_keyed(scope, receive, send)
            return
        if session := self._sessions.of(scope):
            scope["logged_in"] = True
            self._note(scope, Standing.MEMBER, session.name)
            await self._app(scope, receive, self._renewing(scope, session, send))
            return
        refusal = await self._refusal(scope, headers, before)
        if refusal is None:
            self._note(scope, Standing.MEMBER)
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _note(self, scope: Scope, standing: Standing, session: str = "") -> Standing:
        return self._listener.note(scope.get("client"), scope.get("server"), standing, session)

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

    async def _refusal(self, scope: Scope, headers: Headers, before: Standing) -> Response | None:
        """Return the answer to a request without a cookie; None if it carries the token.

        On a connection that carried the token `before`, a program does not wait because others guess.
        """
        authorization = headers.get("authorization")
        if authorization is None:
            if "text/html" in headers.get("accept", "") and scope.get("method") == "GET":
                # A browser that follows another site's link sends no cookie, but does when the page itself goes on.
                linked = headers.get("sec-fetch-site") in ("cross-site", "same-site")
                if linked:
                    return HTMLResponse(_REDIRECT_PAGE.format(page_address(scope, "")))
                return RedirectResponse(page_address(scope, "login"), 303)
            return _unauthorized(_NEEDED, headers)
        network = _client_network(scope)
        if before < Standing.MEMBER and (wait := await self._guesses.turn(network)):
            return PlainTextResponse(f"{_too_many(wait)}\n", 429, {"retry-after": str(wait)})
        if len(headers.getlist("authorization")) == 1 and self._is_token(_token(authorization)):
            if before < Standing.MEMBER:
                self._guesses.forgive(network)
            return None
        await asyncio.sleep(limits.WRONG_TOKEN_DELAY_S)
        return _unauthorized(_WRONG_TOKEN, headers)

    async def _post(self, scope: Scope, receive: Receive) -> Response:
        if scope["path"] == "/logout":
            response, session = RedirectResponse(page_address(scope, "login"), 303), self._sessions.of(scope)
            self._sessions.end(response, session, **_crumb(scope))
            if session is not None:
                self._listener.dismiss(session.name)
            return response
        try:
            async with asyncio.timeout(limits.FORM_TIMEOUT_S):
                form = await _body(receive)
        except (TimeoutError, ClientDisconnect):
            return PlainTextResponse("The form took too long.\n", 408, {"connection": "close"})
        if form is None:
            return PlainTextResponse("The form is too long.\n", 413, {"connection": "close"})
        network, code = _client_network(scope), _field(form, "code")
        if wait := await self._guesses.turn(network):
            return self._form(scope, _too_many(wait), 429, wait)
        if not (self._login_code.accepts(code) if code else self._is_token(_field(form, "token"))):
            await asyncio.sleep(limits.WRONG_TOKEN_DELAY_S)
            return self._form(scope, _WRONG_CODE if code else _WRONG_TOKEN, 401)
        self._guesses.forgive(network)
        response = RedirectResponse(page_address(scope, ""), 303)
        self._sessions.begin(response, **_crumb(scope))
        return response

    def _form(self, scope: Scope, problem: str = "", status: int = 200, wait: int = 0) -> Response:
        if scope["path"] == "/logout":
            return PlainTextResponse("Log out with POST.\n", 405, {"allow": "POST"})
        page = based(self._login_page, scope).replace('role="alert"></p>', f'role="alert">{problem}</p>')
        return HTMLResponse(page, status, {"retry-after": str(wait)} if wait else None)

    def _is_token(self, given: str) -> bool:
        # Digests have one length, so that the time tells nothing about the token's.
        return hmac.compare_digest(hashlib.sha256(given.strip().encode("utf-8", "replace")).digest(), self._digest)

    def _renewing(self, scope: Scope, session: Session, send: Send) -> Send:
        """Renew the session of a page that is opened again before it ends, so that it never has to log in anew."""
        if scope["path"] != "/" or not self._sessions.ageing(session):
            return send
        fresh = Response()
        self._sessions.begin(fresh, name=session.name, **_crumb(scope))

        async def renewed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", fresh.headers["set-cookie"])
            await send(message)

        return renewed


def _crumb(scope: Scope) -> dict[str, Any]:
    """Return where a cookie is good; a browser that reached us through a proxy with TLS says so itself."""
    secure = scope["scheme"] == "https" or Headers(scope=scope).get("origin", "").startswith("https://")
    return {"secure": secure, "path": cookie_path(scope)}


def _too_many(wait: int) -> str:
    return f"Too many wrong tokens came from your address, so this one was not looked at; try again in {wait} s."


def _client_network(scope: Scope) -> str:
    """Return what failures are counted against."""
    return network_of(str((scope.get("client") or ("",))[0]))


async def _body(receive: Receive) -> bytes | None:
    """Return a request's body; None if it is too long. ClientDisconnect: its sender went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
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


def _token(authorization: str) -> str:
    """Return the token of a Bearer, or the password of a Basic authorization; empty where there is none."""
    kind, _, value = authorization.partition(" ")
    if kind.lower() == "bearer":
        return value
    if kind.lower() != "basic":
        return ""
    try:
        return b64decode(value.strip(), validate=True).decode("utf-8", "replace").partition(":")[2]
    except ValueError:
        return ""


def _unauthorized(problem: str, headers: Headers) -> Response:
    response = PlainTextResponse(f"{problem}\n", 401)
    # Players send what their address holds only when they are asked for it; a browser would ask its user, again and
    # again, for the page that has lost its session.
    if not headers.get("user-agent", "").startswith("Mozilla/"):
        response.headers.append("www-authenticate", 'Basic realm="Lookout", charset="UTF-8"')
    response.headers.append("www-authenticate", 'Bearer realm="Lookout"')
    return response
