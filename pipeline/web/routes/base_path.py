"""The path under which a reverse proxy serves the page, and the addresses that hold there."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.web.settings import normal_path

_FORWARDED = "x-forwarded-prefix"


class BasePath:
    """Serves the application under a path too, and notes in each request where its pages stand.

    A proxy may take the path off or leave it on, and may say it in X-Forwarded-Prefix; without a word of it, addresses
    are relative to what was asked for.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        """`path` is the configured one, as `normal_path` gives it."""
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if self._path and path == self._path and scope["type"] == "http":
            await RedirectResponse(f"{path.rpartition('/')[2]}/", 308)(scope, receive, send)
            return
        if self._path and path.startswith(f"{self._path}/"):
            scope = {**scope, "path": path[len(self._path) :], "raw_path": scope["raw_path"][len(self._path) :]}
        told = Headers(scope=scope).getlist(_FORWARDED)
        try:
            base = normal_path(told[0]) if len(told) == 1 else self._path
        except ValueError:
            base = self._path
        await self._app({**scope, "base": base}, receive, send)


def page_address(scope: Scope, page: str) -> str:
    """Return the address of a page of ours, from where the request was sent: `login`, or empty for the first one."""
    if base := scope.get("base", ""):
        return f"{base}/{page}"
    above = "../" * (scope["path"].count("/") - 1)
    return f"{above or './'}{page}"


def cookie_path(scope: Scope) -> str:
    """Return the path for which a cookie of a request is good."""
    return scope.get("base", "") or "/"


def based(html: str, scope: Scope) -> str:
    """Return a page whose relative addresses hold even where its own address lacks the slash at its end."""
    base = scope.get("base", "")
    return html.replace("<head>", f'<head>\n  <base href="{base}/">', 1) if base else html
