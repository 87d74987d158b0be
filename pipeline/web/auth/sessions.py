"""The sessions of browsers that have logged in: a signed cookie each, good until it is too old or logged out."""

from __future__ import annotations

import hmac
import math
import re
import secrets
from base64 import urlsafe_b64encode
from typing import NamedTuple

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Scope

from pipeline.clock import Clock
from pipeline.web import limits

_COOKIE = re.compile(r"(?P<expires>[0-9]{1,12})\.(?P<name>[0-9a-f]{16})\.(?P<signature>[A-Za-z0-9_-]{43})")


class Session(NamedTuple):
    """One browser that has logged in."""

    name: str
    """Tells it from all others; a session that is prolonged keeps it."""
    expires: int
    """Seconds since 1970."""


class Sessions:
    """Makes, finds and ends sessions, on the server's event loop.

    They outlive a restart, since nothing but their signature says that they are good, and end when the token changes.
    Which were logged out is known until the program ends.
    """

    def __init__(self, token: str, port: int, clock: Clock) -> None:
        self._clock = clock
        # Cookies of one host are shared by all of its ports.
        self._cookie_name = f"lookout-{port}"
        self._key = hmac.digest(token.encode(), b"cookies of the page", "sha256")
        self._logged_out: dict[str, int] = {}

    def of(self, scope: Scope) -> Session | None:
        """Return the session of a request."""
        cookie = _COOKIE.fullmatch(HTTPConnection(scope).cookies.get(self._cookie_name, ""))
        if cookie is None:
            return None
        session = Session(cookie["name"], int(cookie["expires"]))
        good = hmac.compare_digest(cookie["signature"], self._signature(session))
        current = session.expires > self._clock.now().timestamp() and session.name not in self._logged_out
        return session if good and current else None

    def begin(self, response: Response, *, secure: bool, path: str, name: str = "") -> None:
        """Put a new session, or a new cookie of the one with that name, into a response."""
        expires = math.ceil(self._clock.now().timestamp()) + limits.SESSION_S
        session = Session(name or secrets.token_hex(8), expires)
        value = f"{expires}.{session.name}.{self._signature(session)}"
        self._set(response, value, limits.SESSION_S, secure, path)

    def end(self, response: Response, session: Session | None, *, secure: bool, path: str) -> None:
        """End a session, whoever else may have its cookie, and take the cookie from the browser."""
        if session is not None:
            now = self._clock.now().timestamp()
            self._logged_out = {name: expires for name, expires in self._logged_out.items() if expires > now}
            # A prolonged session may have an older cookie somewhere, but none that ends later.
            self._logged_out[session.name] = session.expires + limits.SESSION_S
            if len(self._logged_out) > limits.MAX_LOGGED_OUT_COUNT:
                self._logged_out.pop(next(iter(self._logged_out)))
        self._set(response, "", 0, secure, path)

    def ageing(self, session: Session) -> bool:
        """Return whether more than half of a session's time is over."""
        return session.expires - self._clock.now().timestamp() <= limits.SESSION_S / 2

    def _set(self, response: Response, value: str, age: int, secure: bool, path: str) -> None:
        response.set_cookie(self._cookie_name, value, age, path=path, httponly=True, samesite="strict", secure=secure)

    def _signature(self, session: Session) -> str:
        signed = hmac.digest(self._key, f"{session.expires}.{session.name}".encode(), "sha256")
        return urlsafe_b64encode(signed).decode().rstrip("=")
