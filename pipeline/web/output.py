"""A page with all cameras, served on this machine."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from pipeline.errors import OutputError
from pipeline.frames import Frame, Packet, Result
from pipeline.outputs.clips.service import Clips
from pipeline.outputs.protocols import Output, OutputContext, View
from pipeline.web.auth.login_code import MINUTES, LoginCode
from pipeline.web.auth.middleware import POSTS, Access
from pipeline.web.auth.stream_keys import StreamKeys, address
from pipeline.web.routes.clips import ClipEndpoint

from .app import Site
from .limits import BoundedSocket, Listener, TimedProtocol, affordable, hasten_handshakes
from .origin_check import Guard, own_names
from .settings import Web
from .tls import context
from .viewers import Gallery

_GRACE = 0.3
_SEND_BUFFER = 256 * 1024
_GONE_AFTER_MS = 15_000
_HEADERS = 16 * 1024


class WebOutput(Output):
    """Serves the page, clips and HLS from a thread of its own."""

    name = "web"
    paced = True
    asks_for_clips = True
    takes_packets = True

    def __init__(self, settings: Web, context: OutputContext) -> None:
        stats = context.stats
        # A page must know how much of a picture its title covers.
        overlays = {name: camera.overlay for name, camera in context.cameras.items()}
        self._settings = settings
        self._start = context.start
        self._orders = ClipEndpoint(context.clips or Clips({}, stats.clock), stats, context.start)
        most, reach = settings.viewers, self._orders.reach
        self._gallery = Gallery(stats, settings.quality, most, overlays, context.hls_streams, reach)
        self._invitation = LoginCode(stats.clock)
        self._listener: socket.socket | None = None
        self._server: uvicorn.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = threading.Event()
        self.address = ""
        """Where to point a browser; known once open."""

    def open(self) -> None:
        """Take the port and start serving."""
        settings = self._settings
        security = None if settings.certificate is None else context(settings.certificate, settings.key)
        most = affordable(settings.viewers + 100)
        self._listener = _listen(settings.host, settings.port, most)
        port = self._listener.getsockname()[1]
        self.address = f"{'https' if security else 'http'}://{_reachable(self._listener)}:{port}/"
        app: ASGIApp = Site(self._gallery, self._orders).app()
        if settings.token is not None:
            token, stats = settings.token.get_secret_value(), self._gallery.stats
            permits = StreamKeys(token, stats.cameras)
            self._gallery.stream_address = permits.address
            app = Access(app, token, port, stats.clock, self._invitation, permits)
        serving = uvicorn.Config(
            Guard(app, own_names(settings), frozenset() if settings.token is None else POSTS),
            http=TimedProtocol,
            ws=BoundedSocket,
            loop="asyncio",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=most,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_HEADERS,
            ws_max_size=65_536,
            ws_ping_interval=5.0,
            ws_ping_timeout=10.0,
            ws_per_message_deflate=False,
        )
        serving.load()
        serving.ssl = security
        self._server = uvicorn.Server(serving)
        self._orders.open()
        self._start("web-server", self._serve)

    def announcements(self) -> Iterator[str]:
        """Return the lines that say where to look. Addresses that hold a secret stand on the page only."""
        yield f"watch on {self.address}"
        if self._gallery.broadcasts:
            secret = "" if self._settings.token is None else " with the token; the page has addresses that need none"
            yield f"HLS on {self.address[:-1]}{address('{camera}')}{secret}"

    def invite(self) -> str:
        """An address that lets one browser in without the token, once and for some minutes; empty without a token."""
        return f"{self.address}login#{self._invitation.renew()}" if self._settings.token is not None else ""

    def invitation(self) -> str:
        """Return the line with such an address; empty without a token."""
        address = self.invite()
        return f"without the token, once and within {MINUTES} minutes: {address}" if address else ""

    def show(self, view: View) -> bool:
        """Pass a view to whoever looks at that camera; True if somebody does."""
        return self._gallery.show(view)

    def needs_frames(self, camera: str) -> bool:
        """Whether anybody looks who does not decode the camera's own packets."""
        return self._gallery.wants(camera)

    def packet(self, packet: Packet) -> None:
        """Pass a compressed picture to the pages that decode it themselves."""
        self._gallery.relay.packet(packet)

    def on_result(self, result: Result) -> None:
        """Tell those pages at once what was found in it, though nothing is painted for them."""
        self._gallery.relay.found(result)

    def on_drop(self, frame: Frame) -> None:
        """Tell them that the detector left it out."""
        self._gallery.relay.missed(frame)

    def close(self) -> None:
        """Let viewers go and end the server; takes at most about a second."""
        self._gallery.close()
        self._orders.close()
        server, loop, listener = self._server, self._loop, self._listener
        if server is None:
            return
        server.should_exit = True
        if not self._ended.wait(2 * _GRACE) and loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._drop_connections)
            self._ended.wait(2 * _GRACE)
        if listener is not None:
            listener.close()

    def _serve(self) -> None:
        async def serve() -> None:
            assert self._server is not None
            assert self._listener is not None
            self._loop = asyncio.get_running_loop()
            hasten_handshakes(self._loop)
            self._gallery.attach(self._loop)
            await self._server.serve(sockets=[self._listener])

        try:
            asyncio.run(serve())
        finally:
            self._ended.set()

    def _drop_connections(self) -> None:
        """End those that do not take their last bytes."""
        if self._server is not None:
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()


def _listen(host: str, port: int, most: int) -> socket.socket:
    """A listening socket for so many connections; raises OutputError in one line."""
    listener = None
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = Listener(family, kind, protocol)
        listener.most = most
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit these: little can pile up for a slow viewer, and a vanished one is noticed.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER_MS)
        listener.bind(where)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        if error.errno == errno.EADDRINUSE:
            raise OutputError(f"port {port} on {host} is in use; choose another with --web PORT") from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise OutputError(f"port {port} on {host} needs more rights; choose another with --web PORT") from error
        reason = error.strerror or "no such address"
        raise OutputError(f"cannot listen on {host} port {port}: {reason}; use 127.0.0.1") from error
    return listener


def _reachable(listener: socket.socket) -> str:
    """The host to put into the address for a browser: where the server listens everywhere, the way out of here."""
    host = str(listener.getsockname()[0])
    if host in ("0.0.0.0", "::"):
        with socket.socket(listener.family, socket.SOCK_DGRAM) as way:
            try:
                # An address for documentation: connecting a datagram socket chooses a way and sends nothing.
                way.connect(("192.0.2.1" if listener.family == socket.AF_INET else "2001:db8::1", 9))
                host = str(way.getsockname()[0])
            except OSError:
                host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return f"[{host}]" if ":" in host else host
