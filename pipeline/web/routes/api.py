"""The routes for programs: cameras as JSON, snapshots, health, metrics; openapi.json beside the page describes them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.stats.camera import State
from pipeline.stats.prometheus import Exposition
from pipeline.stats.registry import Stats
from pipeline.web.latest_frames import LatestFrames
from pipeline.web.responses import unknown_camera
from pipeline.web.status import StatusReporter
from pipeline.web.viewers import ViewerRegistry

from .clips import ClipEndpoint

_METRICS = "text/plain; version=0.0.4; charset=utf-8"
_SNAPSHOT_MAX_AGE_S = 0.25


class ApiRoutes:
    """Routes that read; none of them changes anything."""

    def __init__(
        self,
        stats: Stats,
        frames: LatestFrames,
        viewers: ViewerRegistry,
        status: StatusReporter,
        clips: ClipEndpoint,
    ) -> None:
        self._stats = stats
        self._frames = frames
        self._viewers = viewers
        self._status = status
        self._clips = clips
        self._metrics = Exposition(stats, viewers.count)

    def routes(self) -> list[Route]:
        """Return the routes to put beside the page's."""
        return [
            Route("/api/cameras", self._cameras),
            Route("/api/cameras/{name}", self._camera),
            Route("/api/cameras/{name}/snapshot.jpg", self._snapshot),
            Route("/api/cameras/{name}/clip.mp4", self._clips),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics_text),
        ]

    async def _cameras(self, request: Request) -> Response:
        return JSONResponse(self._status.cameras())

    async def _camera(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(self._status.camera_status(name)) if name in self._stats.cameras else unknown_camera()

    async def _snapshot(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._stats.cameras:
            return unknown_camera()
        await self._refresh(name)
        return Response(self._status.jpeg(name), media_type="image/jpeg")

    async def _refresh(self, camera: str) -> None:
        """Wait a little for a picture of a camera that is decoded only while it has viewers."""
        if self._stats.cameras[camera].detected or (viewer := self._viewers.enter([camera])) is None:
            return
        try:
            await self._status.await_picture(camera, viewer, _SNAPSHOT_MAX_AGE_S)
        finally:
            self._viewers.leave(viewer)

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _readyz(self, request: Request) -> Response:
        # Anybody may ask this, so it names no camera.
        cameras = self._stats.figures()
        live = [camera for camera in cameras if camera.state in (State.LIVE, State.LATE)]
        if not live:
            return PlainTextResponse("no camera gives pictures\n", 503)
        if any(camera.detected for camera in live) and not any(camera.inferred for camera in cameras):
            return PlainTextResponse("the model has not seen a picture yet\n", 503)
        return PlainTextResponse("ready\n")

    async def _metrics_text(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=_METRICS)
