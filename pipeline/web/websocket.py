"""The WebSocket of a page: status, the cameras' own pictures with what was detected in them, or painted JPEGs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.clock import Clock
from pipeline.config.cameras import Overlay
from pipeline.draw.overlay import title_share

from .client_queue import binary_message
from .latest_frames import EncodedView, LatestFrames
from .status import StatusReporter
from .viewers import Viewer, ViewerRegistry

_STATUS_INTERVAL_S = 1.0
_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013


class _Page:
    """One page that has entered."""

    def __init__(self, viewer: Viewer, socket: WebSocket) -> None:
        self.viewer = viewer
        self.socket = socket
        self.unseen: set[str] = set()
        """Cameras whose last JPEG the page has not yet reported as seen."""
        self.sent: dict[str, EncodedView] = {}
        """The last JPEG of each camera."""


class LiveEndpoint:
    """Serves pages on the server's event loop.

    The page says {"watch": [names], "direct": [names]} and {"seen": name}. It gets numbers as JSON text each second.
    Of watched cameras it gets JPEGs with everything drawn on them, the next only when the one before was seen. Of
    direct ones it gets every compressed picture from the newest keyframe on, and JSON text {camera, pts, boxes} or
    {camera, pts, missed} for each. Pictures are binary: four bytes of length, a JSON header of that length, the data.
    """

    def __init__(
        self,
        frames: LatestFrames,
        viewers: ViewerRegistry,
        status: StatusReporter,
        overlays: Mapping[str, Overlay],
        clock: Clock,
        page_digest: str,
    ) -> None:
        """`page_digest` tells pages that were loaded from another program than this that they are out of date."""
        self._frames = frames
        self._viewers = viewers
        self._status = status
        self._overlays = overlays
        self._clock = clock
        self._page_digest = page_digest

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it goes or the server ends."""
        viewer = self._viewers.enter()
        await socket.accept()
        if viewer is None:
            await socket.close(_TRY_AGAIN_LATER, "too many viewers")
            return
        page = _Page(viewer, socket)
        receiving = asyncio.ensure_future(self._receive(page))
        sending = asyncio.ensure_future(self._send(page))
        try:
            await asyncio.wait((receiving, sending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._viewers.leave(viewer)
            receiving.cancel()
            sending.cancel()
            await asyncio.gather(receiving, sending, return_exceptions=True)
        with suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(_GOING_AWAY)

    async def _receive(self, page: _Page) -> None:
        """Take the page's messages until it goes or sends one that makes no sense."""
        try:
            while True:
                message = json.loads(await page.socket.receive_text())
                watch, direct = message.get("watch"), message.get("direct")
                if isinstance(watch, list) or isinstance(direct, list):
                    self._viewers.watch(page.viewer, _names(watch), _names(direct))
                if isinstance(name := message.get("seen"), str):
                    page.unseen.discard(name)
                    page.viewer.wake()
        except (WebSocketDisconnect, ValueError, AttributeError, KeyError, RuntimeError):
            return

    async def _send(self, page: _Page) -> None:
        """Send status and pictures until the page goes or the server ends."""
        loop = asyncio.get_running_loop()
        viewer, socket = page.viewer, page.socket
        status_at = loop.time()
        alarm = loop.call_at(status_at, viewer.wake)
        try:
            while not self._viewers.closed:
                if loop.time() >= status_at:
                    status_at = loop.time() + _STATUS_INTERVAL_S
                    alarm = loop.call_at(status_at, viewer.wake)
                    await socket.send_text(self._status_text())
                while (wire := viewer.queue.take()) is not None:
                    await (socket.send_text(wire) if isinstance(wire, str) else socket.send_bytes(wire))
                for camera in viewer.names - viewer.queue.cameras - page.unseen:
                    await self._send_jpeg(page, camera)
                await viewer.woken()
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            alarm.cancel()

    def _status_text(self) -> str:
        # The time is the page's own, however old the numbers are: pages tell the age of pictures by it.
        clock = round(self._clock.monotonic() * 1e3, 1)
        return f'{{"clock":{clock},"page":"{self._page_digest}",{self._status.text()[1:]}'

    async def _send_jpeg(self, page: _Page, camera: str) -> None:
        encoded = self._frames.newest_encoded(camera)
        if encoded is None or page.sent.get(camera) is encoded:
            return
        page.sent[camera] = encoded
        page.unseen.add(camera)
        frame = encoded.view.result.frame
        scale = self._overlays.get(camera, Overlay()).scale
        header = {
            "camera": camera,
            "seq": frame.seq,
            "at": round(frame.captured * 1e3, 1),
            "live": encoded.view.live,
            "title": round(title_share(frame.picture.width, frame.picture.height, scale), 4),
        }
        await page.socket.send_bytes(binary_message(header, encoded.jpeg))


def _names(value: object) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []
