"""What programs ask for: cameras as JSON, snapshots, health, and metrics; openapi.json beside the page describes it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pipeline.stats.prometheus import Exposition
from pipeline.stats.registry import State
from pipeline.web.viewers import Gallery

from .clips import ClipEndpoint, unknown

_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Api:
    """Routes that read; none of them changes anything."""

    def __init__(self, gallery: Gallery, orders: ClipEndpoint) -> None:
        self._gallery = gallery
        self._orders = orders
        self._metrics = Exposition(gallery.stats, gallery.viewers)

    def routes(self) -> list[Route]:
        """To put beside the page's."""
        return [
            Route("/api/cameras", self._cameras),
            Route("/api/cameras/{name}", self._camera),
            Route("/api/cameras/{name}/snapshot.jpg", self._snapshot),
            Route("/api/cameras/{name}/clip.mp4", self._orders),
            Route("/healthz", self._healthy),
            Route("/readyz", self._ready),
            Route("/metrics", self._measured),
        ]

    async def _cameras(self, request: Request) -> Response:
        return JSONResponse(self._gallery.numbers())

    async def _camera(self, request: Request) -> Response:
        name = request.path_params["name"]
        return JSONResponse(self._gallery.card(name)) if name in self._gallery.stats.cameras else unknown()

    async def _snapshot(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._gallery.stats.cameras:
            return unknown()
        await self._gallery.refresh(name)
        return Response(self._gallery.honest(name), media_type="image/jpeg")

    async def _healthy(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, request: Request) -> Response:
        # Anybody may ask this, so it names no camera.
        figures = self._gallery.stats.figures()
        live = [each for each in figures if each.state in (State.LIVE, State.LATE)]
        if not live:
            return PlainTextResponse("no camera gives pictures\n", 503)
        if any(each.detected for each in live) and not any(each.inferred for each in figures):
            return PlainTextResponse("the model has not seen a picture yet\n", 503)
        return PlainTextResponse("ready\n")

    async def _measured(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=_METRICS)
