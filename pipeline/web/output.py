"""The output that serves a page with all cameras on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from pipeline.frames import Frame, Packet, Result
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.web.auth.login_code import LoginCode
from pipeline.web.auth.middleware import POST_PATHS, TokenAuth
from pipeline.web.auth.stream_keys import StreamKeys, stream_path
from pipeline.web.routes.api import ApiRoutes
from pipeline.web.routes.base_path import BasePath
from pipeline.web.routes.clips import ClipEndpoint
from pipeline.web.routes.hls import HlsRoutes

from . import limits
from .app import WebApp, digest, page_assets
from .connections import BoundedWebSocket, TimedHttp, hasten_handshakes
from .latest_frames import LatestFrames
from .listener import Listener, Standing, affordable, listen, reachable_host, server_context
from .origin_check import HostOriginCheck, own_names
from .passthrough import Passthrough
from .settings import Web, normal_path
from .status import StatusReporter
from .viewers import ViewerRegistry
from .websocket import LiveEndpoint


class WebOutput(Output):
    """Serves the page, clips and HLS from a thread of its own."""

    name = "web"
    paced = True
    every_picture = True
    asks_for_clips = True
    takes_packets = True

    def __init__(self, settings: Web, context: OutputContext) -> None:
        stats, clock = context.stats, context.stats.clock
        self._settings = settings
        self._stats = stats
        self._start = context.start
        self._hls_streams = context.hls_streams
        # A page must know how much of a picture its title covers.
        self._overlays = {name: camera.overlay for name, camera in context.cameras.items()}
        self._clips = ClipEndpoint(context.clips or Clips({}, clock), stats, context.start)
        self._frames = LatestFrames(stats, settings.quality)
        self._passthrough = Passthrough(stats.cameras, clock)
        self._viewers = ViewerRegistry(stats.cameras, self._passthrough, self._hls_streams, clock, settings.viewers)
        self._login_code = LoginCode(clock)
        token = settings.token
        self._stream_keys = None if token is None else StreamKeys(token.get_secret_value(), stats.cameras)
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self.address = ""
        """Address for a browser; known once open."""

    def open(self) -> None:
        """Take the port and start serving."""
        settings = self._settings
        security = None if settings.certificate is None else server_context(settings.certificate, settings.key)
        max_count = affordable(settings.viewers + limits.SPARE_CONNECTION_COUNT)
        listener = listen(settings.host, settings.port, max_count)
        with ExitStack() as unserved:
            unserved.enter_context(listener)
            scheme = "http" if security is None else "https"
            self.address = f"{scheme}://{reachable_host(listener)}:{listener.getsockname()[1]}/"
            serving = self._serving(self._app(listener))
            serving.load()
            serving.ssl = security
            self._server = server = uvicorn.Server(serving)
            self._clips.open()
            self._start("web-server", lambda: self._serve(server, listener))
            unserved.pop_all()

    def reopen(self) -> None:
        """Go on: the server has a thread of its own, which the error of a picture does not end."""

    def announcements(self) -> Iterator[str]:
        """Return the lines that say where to look. Addresses that hold a secret stand on the page only."""
        yield f"watch on {self.address}"
        if self._hls_streams:
            secret = "" if self._settings.token is None else " with the token; the page has addresses that need none"
            yield f"HLS on {self.address[:-1]}{stream_path('{camera}')}{secret}"

    def invite(self) -> str:
        """Return an address that lets one browser in without the token, once and for minutes; empty without one."""
        return f"{self.address}login#{self._login_code.renew()}" if self._settings.token is not None else ""

    def invitation(self) -> str:
        """Return the line with such an address; empty without a token."""
        address = self.invite()
        return f"without the token, once and within {limits.LOGIN_CODE_MINUTES} minutes: {address}" if address else ""

    def show(self, view: View) -> bool:
        """Pass a view to the viewers of its camera; return whether there are any."""
        camera = view.result.frame.camera
        self._frames.put(view)
        viewers = self._viewers.taking_jpeg(camera)
        if viewers:
            # Encoded here, so that the server's event loop is free for the network.
            self._frames.encode(view)
            self._viewers.wake(viewers)
        return bool(viewers) or self._passthrough.watched(camera)

    def needs_frames(self, camera: str) -> bool:
        """Return whether a camera has viewers that do not decode its packets themselves."""
        return bool(self._viewers.taking_jpeg(camera))

    def packet(self, packet: Packet) -> None:
        """Pass a compressed picture to the pages that decode it themselves; never blocks."""
        self._passthrough.packet(packet)

    def on_result(self, result: Result) -> None:
        """Pass the detections in a frame to those pages at once, which draw the boxes themselves."""
        self._passthrough.on_result(result)

    def on_drop(self, frame: Frame) -> None:
        """Tell those pages that the detector left a frame out."""
        self._passthrough.on_drop(frame)

    def close(self) -> None:
        """Let viewers go and end the server; takes at most about a second.

        A server that is busy for longer ends by itself, in its own thread, which closes the listener: closed from
        here, it would end under an event loop that still asks after it.
        """
        self._viewers.close()
        self._clips.close()
        server = self._server
        if server is None:
            return
        server.should_exit = True
        if not self._ended.wait(limits.SHUTDOWN_STEP_S) and (loop := self._loop) is not None:
            # A loop that ended meanwhile has no connections left.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(self._drop_connections)
            self._ended.wait(limits.SHUTDOWN_STEP_S)

    def _app(self, listener: Listener) -> ASGIApp:
        """Make the application from the parts that each route needs, with the guards in front of it."""
        stats, frames, viewers, settings = self._stats, self._frames, self._viewers, self._settings
        reach = self._clips.reach
        status = StatusReporter(stats, frames, viewers, self._passthrough, self._overlays, reach, self._stream_path)
        assets = page_assets()
        live = LiveEndpoint(frames, viewers, status, self._overlays, stats.clock, digest(assets))
        api = ApiRoutes(stats, frames, viewers, status, self._clips)
        hls = HlsRoutes(stats.cameras, self._hls_streams, viewers, status.health)
        app: ASGIApp = WebApp(stats.cameras, viewers, status, live, api, hls, assets).app()
        if settings.token is None or self._stream_keys is None:
            return BasePath(HostOriginCheck(_for_all(app, listener), own_names(settings)), normal_path(settings.path))
        token = settings.token.get_secret_value()
        app = TokenAuth(app, token, listener, stats.clock, self._login_code, self._stream_keys)
        app = HostOriginCheck(app, own_names(settings), POST_PATHS, self._stream_keys.guards)
        return BasePath(app, normal_path(settings.path))

    @staticmethod
    def _serving(app: ASGIApp) -> uvicorn.Config:
        return uvicorn.Config(
            app,
            http=TimedHttp,
            ws=BoundedWebSocket,
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            # The listener says how many there may be, and whose.
            limit_concurrency=None,
            backlog=limits.ACCEPTED_AT_ONCE_COUNT,
            timeout_graceful_shutdown=limits.GRACEFUL_SHUTDOWN_S,
            h11_max_incomplete_event_size=limits.MAX_HEADER_BYTES,
            ws_max_size=limits.MAX_MESSAGE_BYTES,
            ws_ping_interval=limits.PING_INTERVAL_S,
            ws_ping_timeout=limits.PONG_TIMEOUT_S,
            ws_per_message_deflate=False,
        )

    def _stream_path(self, camera: str) -> str | None:
        """Return the path of a camera's HLS stream that needs no login; None where none is made."""
        if camera not in self._hls_streams:
            return None
        return stream_path(camera) if self._stream_keys is None else self._stream_keys.path(camera)

    def _serve(self, server: uvicorn.Server, listener: Listener) -> None:
        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            hasten_handshakes(self._loop)
            self._viewers.attach(self._loop)
            self._passthrough.attach(self._loop)
            await server.serve(sockets=[listener])

        try:
            asyncio.run(serve())
        finally:
            listener.close()
            self._ended.set()

    def _drop_connections(self) -> None:
        """End the connections that do not take their last bytes."""
        if self._server is not None:
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()


def _for_all(app: ASGIApp, listener: Listener) -> ASGIApp:
    """Return the application for a server without a token, where whoever asks for something is a member."""

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        listener.note(scope.get("client"), scope.get("server"), Standing.MEMBER)
        await app(scope, receive, send)

    return noted
