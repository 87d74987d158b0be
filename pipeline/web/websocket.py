"""One page's WebSocket: numbers, the cameras' own pictures with word of their boxes, or painted JPEGs."""

from __future__ import annotations

import asyncio
import json

from starlette.websockets import WebSocket, WebSocketDisconnect

from pipeline.config import root as config
from pipeline.draw.overlay import title_share

from .passthrough import framed
from .viewers import Gallery, Viewer

_NUMBERS_PACE = 1.0


class LivePage:
    """Serves a page that has entered.

    The page says {"watch": [names], "direct": [names]} and {"seen": name}. It gets numbers as JSON text each second.
    Of watched cameras it gets JPEGs with everything drawn on them, the next only when the one before was seen. Of
    direct ones it gets every compressed picture from the newest keyframe on, and JSON text {camera, pts, boxes} or
    {camera, pts, missed} for each. Pictures are binary: four bytes of length, a JSON header of that length, the data.
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
                watch, direct = said.get("watch"), said.get("direct")
                if isinstance(watch, list) or isinstance(direct, list):
                    self._gallery.watch(self._viewer, _names(watch), _names(direct))
                if isinstance(name := said.get("seen"), str):
                    self._unseen.discard(name)
                    self._viewer.wake()
        except (WebSocketDisconnect, ValueError, AttributeError, KeyError, RuntimeError):
            return

    async def speak(self) -> None:
        """Send numbers and pictures until the page goes or the server ends."""
        loop = asyncio.get_running_loop()
        numbers_at = loop.time()
        alarm = loop.call_at(numbers_at, self._viewer.wake)
        feed = self._viewer.feed
        try:
            while not self._gallery.closed:
                if loop.time() >= numbers_at:
                    numbers_at = loop.time() + _NUMBERS_PACE
                    alarm = loop.call_at(numbers_at, self._viewer.wake)
                    await self._socket.send_text(self._numbers())
                while (wire := feed.take()) is not None:
                    await (self._socket.send_text(wire) if isinstance(wire, str) else self._socket.send_bytes(wire))
                for name in self._viewer.names - feed.cameras - self._unseen:
                    await self._picture(name)
                await self._viewer.woken()
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            alarm.cancel()

    def _numbers(self) -> str:
        # The time is the page's own, however old the numbers are: pages tell the age of pictures by it.
        clock = round(self._gallery.stats.clock.monotonic() * 1e3, 1)
        return f'{{"clock":{clock},{self._gallery.numbers_text()[1:]}'

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
            "at": round(frame.captured * 1e3, 1),
            "live": shot.view.live,
            "title": round(title_share(frame.picture.width, frame.picture.height, scale), 4),
        }
        await self._socket.send_bytes(framed(header, shot.jpeg))


def _names(said: object) -> list[str]:
    return [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
