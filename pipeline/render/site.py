"""What the page's server answers: the page, pictures, numbers, and one WebSocket that carries all cameras of a page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from .. import config
from .api import Api, numbers, unknown
from .overlay import title_share
from .viewers import Gallery, Viewer

_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_STALE_PACE = 0.5
_NUMBERS_PACE = 1.0
_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013
_PART = "content-type: image/jpeg\r\ncontent-length: {}\r\n\r\n"


class Site:
    """The routes; nothing a client sends names a file, an address or a setting."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._api = Api(gallery)
        self._assets = {
            f"/{each.name}": (each.read_bytes(), _TYPES[f".{each.name.rpartition('.')[2]}"])
            for each in files(__name__.rpartition(".")[0]).joinpath("web").iterdir()
        }
        self._assets["/"] = self._assets.pop("/index.html")

    def app(self) -> Starlette:
        """The application for a server to run."""
        return Starlette(
            routes=[
                *(Route(path, self._asset) for path in self._assets),
                *self._api.routes(),
                Route("/cameras/{name}/stream.mjpg", self._stream),
                WebSocketRoute("/live", self._live),
            ]
        )

    async def _asset(self, request: Request) -> Response:
        body, media_type = self._assets[request.url.path]
        return Response(body, media_type=media_type)

    async def _stream(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._gallery.stats.cameras:
            return unknown()
        media_type = "multipart/x-mixed-replace; boundary=frame"
        if request.method == "HEAD":
            return Response(headers={"content-type": media_type})
        viewer = self._gallery.enter([name])
        if viewer is None:
            return PlainTextResponse("Too many viewers; try again later.\n", 503, {"retry-after": "5"})
        return StreamingResponse(self._parts(name, viewer), media_type=media_type)

    async def _parts(self, name: str, viewer: Viewer) -> AsyncIterator[bytes]:
        # The boundary follows each picture at once, because browsers show a part when they see its end.
        try:
            yield b"--frame\r\n"
            sent = b""
            while not self._gallery.closed:
                jpeg = self._gallery.honest(name)
                if jpeg is not sent:
                    sent = jpeg
                    yield _PART.format(len(jpeg)).encode() + jpeg + b"\r\n--frame\r\n"
                await viewer.wait(_STALE_PACE)
        finally:
            self._gallery.leave(viewer)

    async def _live(self, socket: WebSocket) -> None:
        viewer = self._gallery.enter()
        await socket.accept()
        if viewer is None:
            await socket.close(_TRY_AGAIN_LATER, "too many viewers")
            return
        page = _Page(self._gallery, viewer, socket)
        listening = asyncio.ensure_future(page.listen())
        speaking = asyncio.ensure_future(page.speak())
        try:
            await asyncio.wait((listening, speaking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._gallery.leave(viewer)
            listening.cancel()
            speaking.cancel()
            await asyncio.gather(listening, speaking, return_exceptions=True)
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(_GOING_AWAY)


class _Page:
    """One page's WebSocket.

    The page says {"watch": [names]} and {"seen": name}; it gets numbers as JSON text each second, and pictures as
    binary: four bytes of length, a JSON header of that length, a JPEG. A camera's next picture goes out only when
    the page has seen the one before, so that a slow page skips to the newest and nothing piles up.
    """

    def __init__(self, gallery: Gallery, viewer: Viewer, socket: WebSocket) -> None:
        self._gallery = gallery
        self._viewer = viewer
        self._socket = socket
        self._unseen: set[str] = set()
        self._sent: dict[str, object] = {}

    async def listen(self) -> None:
        """Take what the page says until it goes or says nonsense."""
        try:
            while True:
                said = json.loads(await self._socket.receive_text())
                if isinstance(names := said.get("watch"), list):
                    self._gallery.watch(self._viewer, [name for name in names if isinstance(name, str)])
                if isinstance(name := said.get("seen"), str):
                    self._unseen.discard(name)
                    self._viewer.wake()
        except (WebSocketDisconnect, ValueError, AttributeError, KeyError, RuntimeError):
            return

    async def speak(self) -> None:
        """Send numbers and pictures until the page goes or the server ends."""
        loop = asyncio.get_running_loop()
        numbers_at = loop.time()
        try:
            while not self._gallery.closed:
                if (now := loop.time()) >= numbers_at:
                    numbers_at = now + _NUMBERS_PACE
                    await self._socket.send_json(numbers(self._gallery))
                for name in self._viewer.names - self._unseen:
                    await self._picture(name)
                await self._viewer.wait(max(0.0, numbers_at - loop.time()))
        except (WebSocketDisconnect, RuntimeError):
            return

    async def _picture(self, name: str) -> None:
        shot = self._gallery.shot(name)
        if shot is None or self._sent.get(name) is shot:
            return
        self._sent[name] = shot
        self._unseen.add(name)
        frame = shot.view.result.frame
        scale = self._gallery.overlays.get(name, config.Overlay()).scale
        header = {
            "camera": name,
            "seq": frame.seq,
            "age_ms": round((self._gallery.stats.clock.monotonic() - frame.captured) * 1e3),
            "live": shot.view.live,
            "title": round(title_share(frame.picture.width, frame.picture.height, scale), 4),
        }
        text = json.dumps(header).encode()
        await self._socket.send_bytes(len(text).to_bytes(4, "big") + text + shot.jpeg)
