"""The application of the page's server: the page itself, its MJPEG streams, and the routes of the other modules."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Mapping
from importlib.resources import files

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from pipeline.web.routes.api import ApiRoutes
from pipeline.web.routes.base_path import based
from pipeline.web.routes.hls import HlsRoutes

from .responses import too_many_viewers, unknown_camera
from .status import StatusReporter
from .viewers import Viewer, ViewerRegistry
from .websocket import LiveEndpoint

_MEDIA_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
_STALE_CHECK_INTERVAL_S = 0.5
_PART = "content-type: image/jpeg\r\ncontent-length: {}\r\n\r\n"


def page_assets() -> dict[str, tuple[bytes, str]]:
    """Return all that the page consists of, by its path: what it is and its media type."""
    return {
        f"/{file.name}": (file.read_bytes(), _MEDIA_TYPES[f".{file.name.rpartition('.')[2]}"])
        for file in files("pipeline.web").joinpath("static").iterdir()
    }


def digest(assets: Mapping[str, tuple[bytes, str]]) -> str:
    """Return what tells one version of the page from another."""
    found = hashlib.sha256()
    for path, (body, _) in sorted(assets.items()):
        found.update(f"{path} {len(body)}\n".encode() + body)
    return found.hexdigest()[:16]


class WebApp:
    """Puts the routes together; nothing a client sends names a file, an address or a setting."""

    def __init__(
        self,
        cameras: Collection[str],
        viewers: ViewerRegistry,
        status: StatusReporter,
        live: LiveEndpoint,
        api: ApiRoutes,
        hls: HlsRoutes,
        assets: Mapping[str, tuple[bytes, str]],
    ) -> None:
        self._cameras = cameras
        self._viewers = viewers
        self._status = status
        self._live = live
        self._api = api
        self._hls = hls
        self._assets = dict(assets)
        self._assets["/"] = self._assets.pop("/index.html")
        self._index = self._assets["/"][0].decode()

    def app(self) -> Starlette:
        """Return the application for a server to run."""
        return Starlette(
            routes=[
                *(Route(path, self._asset) for path in self._assets),
                *self._api.routes(),
                *self._hls.routes(),
                Route("/cameras/{name}/stream.mjpg", self._mjpeg),
                WebSocketRoute("/live", self._live.serve),
            ]
        )

    async def _asset(self, request: Request) -> Response:
        body, media_type = self._assets[request.url.path]
        if request.url.path == "/":
            shown = self._index.replace('action="logout" hidden', 'action="logout"')
            body = based(shown if request.scope.get("logged_in") else self._index, request.scope).encode()
        return Response(body, media_type=media_type)

    async def _mjpeg(self, request: Request) -> Response:
        camera = request.path_params["name"]
        if camera not in self._cameras:
            return unknown_camera()
        media_type = "multipart/x-mixed-replace; boundary=frame"
        if request.method == "HEAD":
            return Response(headers={"content-type": media_type})
        viewer = self._viewers.enter([camera])
        if viewer is None:
            return too_many_viewers()
        return StreamingResponse(self._parts(camera, viewer), media_type=media_type)

    async def _parts(self, camera: str, viewer: Viewer) -> AsyncIterator[bytes]:
        # The boundary follows each picture at once, because browsers show a part when they see its end.
        try:
            yield b"--frame\r\n"
            # Players keep the size of the first picture: it should be one of the camera.
            await self._status.await_picture(camera, viewer)
            sent = b""
            while not self._viewers.closed:
                jpeg = self._status.jpeg(camera)
                if jpeg is not sent:
                    sent = jpeg
                    yield _PART.format(len(jpeg)).encode() + jpeg + b"\r\n--frame\r\n"
                await viewer.wait(_STALE_CHECK_INTERVAL_S)
        finally:
            self._viewers.leave(viewer)
